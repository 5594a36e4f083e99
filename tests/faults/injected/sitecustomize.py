"""Gives every process of a study the disk that the test wants; Python imports this by its name at its start."""

import os
import sys

if "ESPALIER_TEST_FAULT" in os.environ and not sys.flags.isolated:
    from tests.faults.faulty_disk import install

    install()
