"""Whole studies as a person starts them: real processes, tiny plans, a home of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

TINY = (
    "search.generations=1",
    "search.edits_per_generation=2",
    "search.slice_samples=960",
    "search.baseline_samples=1920",
    "search.final_samples=1920",
    "trainer.threads=1",
    "explanation=none",
)
PATIENCE = float(os.environ.get("ESPALIER_TEST_PATIENCE", "240"))  # seconds a study may take; a busy machine wants more
INLINE = ("orchestrator=inline", "tracking.enabled=false", "deployment=none", "pretrained=none")


@dataclass
class Runner:
    """Starts the program with an ESPALIER_HOME of its own."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """A process of its own session, so that signals reach it alone."""
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.cli", *arguments],
            env={**os.environ, "ESPALIER_HOME": str(self.home), "COLUMNS": "160", **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd or self.home.parent,
            start_new_session=True,
        )

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        process = self.start(*arguments, cwd=cwd)
        output, errors = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def summary(self, study: str) -> dict[str, Any]:
        return dict(json.loads((self.home / "studies" / study / "summary.json").read_text()))

    def trials(self) -> int:
        """How many trials the store holds."""
        return len(list((self.home / "store" / "trials").glob("??/[0-9a-f]*")))

    def start_and_wait_for_trials(self, count: int, *arguments: str) -> subprocess.Popen[str]:
        """Start a study and come back once so many of its trials are done."""
        process = self.start(*arguments)
        deadline = time.monotonic() + PATIENCE / 2
        while self.trials() < count:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "home")


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The process numbers of a study's workers."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [pid for pid in map(int, children) if b"modules.workers.main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def kill(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> tuple[str, str]:
    process.send_signal(number)
    return process.communicate(timeout=60)
