"""A clock that a test sets back: what `time.time` says in every process of a study; the monotonic one stays."""

import os
import time
from pathlib import Path

VARIABLE = "ESPALIER_TEST_CLOCK"


class WrongClock:
    """Off by as many seconds as a file says."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def set_back(self, seconds: float) -> None:
        self.path.write_text(str(-seconds))

    @property
    def environment(self) -> dict[str, str]:
        """With these variables every process of a study has this clock."""
        path = os.pathsep.join([str(Path(__file__).parent / "injected"), str(Path(__file__).parents[2])])
        return {VARIABLE: str(self.path), "PYTHONPATH": path}


def install() -> None:
    """Use the clock that the environment names."""
    path, right = Path(os.environ[VARIABLE]), time.time
    time.time = lambda: right() + (float(path.read_text() or 0) if path.exists() else 0)
