"""Running the installed program as a person would, with an ESPALIER_HOME of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.watchdog import is_locked

_SERVER_ENDS_WITHIN = 30.0  # seconds


@dataclass(frozen=True)
class Finished:
    """A study that was run: its summary.json, and the command's unix times of start and end."""

    summary: dict[str, Any]
    started_at: float
    ended_at: float

    @property
    def seconds(self) -> float:
        """From the command's start to its end."""
        return self.ended_at - self.started_at


def espalier() -> str:
    """The program's path in this interpreter's environment."""
    path = Path(sys.executable).with_name("espalier")
    if not path.exists():
        sys.exit(f"there is no {path.name} beside {Path(sys.executable).name}: use the environment it is installed in")
    return str(path)


@contextmanager
def empty_home(keep: Path | None) -> Iterator[Path]:
    """`keep`, which must be empty or new, or a temporary folder."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="espalier-benchmark-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
        return
    keep.mkdir(parents=True, exist_ok=True)
    if any(keep.iterdir()):
        sys.exit(f"--keep {keep} is not empty; a benchmark needs a folder without earlier work")
    yield keep.absolute()


def run_study(
    overrides: Sequence[str], home: Path, meanwhile: Callable[["subprocess.Popen[bytes]"], None] | None = None
) -> Finished:
    """Run `espalier run` in a home, what it says on standard error; returns once its Prefect server has gone.

    Where the home holds earlier studies, `overrides` name this one: study=NAME.
    """
    home.mkdir(parents=True, exist_ok=True)
    started_at = time.time()
    process = subprocess.Popen(
        [espalier(), "run", *overrides], env={**os.environ, "ESPALIER_HOME": str(home)}, stdout=sys.stderr
    )
    try:
        if meanwhile is not None:
            meanwhile(process)
        process.wait()
    finally:
        process.terminate()  # nothing where it has ended
    ended_at = time.time()
    if process.returncode:
        sys.exit(f"espalier run {' '.join(overrides)} ended with exit code {process.returncode}")
    _wait_for_server_to_end(home)
    name = next((each.partition("=")[2] for each in overrides if each.startswith("study=")), "*")
    (summary,) = home.glob(f"studies/{name}/summary.json")
    return Finished(json.loads(summary.read_text()), started_at, ended_at)


def _wait_for_server_to_end(home: Path) -> None:
    deadline = time.monotonic() + _SERVER_ENDS_WITHIN
    while is_locked(home / "prefect" / "watchdog.lock") and time.monotonic() < deadline:
        time.sleep(0.1)
