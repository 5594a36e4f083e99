"""Gives every process of a study the disk and the clock that a test wants; Python imports this by its name."""

import os
import sys

if "ESPALIER_TEST_FAULT" in os.environ and not sys.flags.isolated:
    from tests.faults.faulty_disk import install

    install()

if "ESPALIER_TEST_CLOCK" in os.environ and not sys.flags.isolated:
    from tests.faults.wrong_clock import install

    install()
