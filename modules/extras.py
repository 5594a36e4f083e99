"""How a library that is optional is installed: as an extra of this checkout, into this interpreter's environment."""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def install_command(extra: str) -> str:
    """The command, to be pasted into a shell."""
    return f"{sys.executable} -m pip install -e '{_ROOT}[{extra}]'"
