"""Where everything that a run writes goes."""

import os
from pathlib import Path

from modules.errors import HomeError


def home_folder() -> Path:
    """ESPALIER_HOME, or mlruns in the current folder; absolute, and not made here."""
    folder = Path(os.environ.get("ESPALIER_HOME") or "mlruns").expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise HomeError(
            f"ESPALIER_HOME is {folder}, which is a file; allowed is a folder, or a path where one can be made"
        )
    return folder
