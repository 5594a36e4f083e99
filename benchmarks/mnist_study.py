"""What does a study of MNIST with a budget of 10 minutes give, and how much of it is training?

    python -m benchmarks.mnist_study data.root=DIR              # a budget of 2 minutes: a look
    python -m benchmarks.mnist_study --full data.root=DIR       # 10 minutes: the figures

Measures the whole command, in an ESPALIER_HOME that was empty before: its seconds, the winner's test error, the peak of
the resident memory summed over the command, its workers and its Prefect server (every 0.5 s; pages that processes share
count once for each, so a proportional sum is given as well), and the share of its time that is no trial's. A table says
where that went. Overrides are passed to `espalier run`, for instance data=fashion_mnist or seed=1.
"""

import argparse
import json
import os
import re
import sqlite3
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from benchmarks.commands import Finished, empty_home, run_study
from benchmarks.rows import Row, print_rows

_MOST_ERROR = 0.005
_MOST_GB = 2.5
_MOST_OTHER = 0.15
_GRACE_SECONDS = 60
_SAMPLE_SECONDS = 0.5
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Memory:
    """The memory of all processes that carry an ESPALIER_HOME in their environment, daemons included, at its peak."""

    def __init__(self, home: Path) -> None:
        self.resident = 0
        self.proportional = 0
        self.by_process: dict[str, int] = {}
        self._mark = f"ESPALIER_HOME={home}\0".encode()

    def watch(self, process: "subprocess.Popen[bytes]") -> None:
        """Sample until the process has ended."""
        while process.poll() is None:
            self._sample()
            time.sleep(_SAMPLE_SECONDS)

    def _sample(self) -> None:
        resident = {folder: _resident(folder) for folder in self._processes()}
        if sum(resident.values()) > self.resident:
            self.resident = sum(resident.values())
            self.by_process = {f"{_name(folder)} ({folder.name})": size for folder, size in resident.items()}
            self.proportional = max(self.proportional, sum(map(_proportional, resident)))

    def _processes(self) -> Iterator[Path]:
        for folder in Path("/proc").glob("[0-9]*"):
            if self._mark in _read(folder / "environ"):
                yield folder


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has just ended, or is somebody else's
        return b""


def _resident(folder: Path) -> int:
    fields = _read(folder / "statm").split()
    return int(fields[1]) * _PAGE if fields else 0


def _proportional(folder: Path) -> int:
    found = re.search(rb"^Pss:\s+(\d+) kB", _read(folder / "smaps_rollup"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _name(folder: Path) -> str:
    """What a process runs: the first of its arguments after the interpreter that is no option."""
    arguments = _read(folder / "cmdline").decode(errors="replace").split("\0")[1:]
    return next((Path(each).name for each in arguments if each and not each.startswith("-")), "ended")


class Times:
    """Where the seconds of a study went, from its trials' results and Prefect's task runs."""

    def __init__(self, home: Path, finished: Finished) -> None:
        results = [json.loads(path.read_text()) for path in home.glob("store/trials/*/*/result.json")]
        trials = sorted((result["started_at"], result["finished_at"]) for result in results)
        self.num_trials = len(trials)
        self.wall = finished.seconds
        self.training = sum(result["seconds"] for result in results)
        self.before = trials[0][0] - finished.started_at
        self.between = sum(after - before for (_, before), (after, _) in pairwise(trials))
        self.after = finished.ended_at - trials[-1][1]
        self.by_task = _seconds_by_task(home / "prefect" / "prefect.db", finished)

    @property
    def other(self) -> float:
        """The share of the time that is no trial's."""
        return (self.wall - self.training) / self.wall

    def table(self) -> str:
        """A Markdown table of all of it; what stands below the whole is part of what stands above."""
        rows = [
            ("before the first trial", self.before),
            (f"trials ({self.num_trials})", self.training),
            ("between trials", self.between),
            ("after the last trial", self.after),
            ("**the whole command**", self.wall),
        ]
        rows += self.by_task.items()
        lines = [f"| {name} | {seconds:.1f} | {seconds / self.wall:.1%} |" for name, seconds in rows]
        return "\n".join(["| where | seconds | share |", "| --- | --- | --- |", *lines])


def _seconds_by_task(database: Path, finished: Finished) -> dict[str, float]:
    """The seconds outside of tasks, and those of the tasks that train nothing; empty without Prefect."""
    if not database.exists():
        return {}
    connection = sqlite3.connect(database)
    runs = connection.execute(
        "select name, (julianday(start_time) - 2440587.5) * 86400, (julianday(end_time) - 2440587.5) * 86400 "
        "from task_run where start_time is not null and end_time is not null order by start_time"
    ).fetchall()
    connection.close()
    seconds: dict[str, float] = defaultdict(float)
    seconds["until the first task"] = runs[0][1] - finished.started_at
    for name, started_at, ended_at in runs:
        if not name.startswith("train "):
            seconds[f"task: {re.sub(r'(,| generation [0-9]).*', '', name)}"] += ended_at - started_at
    seconds["after the last task"] = finished.ended_at - max(ended_at for *_, ended_at in runs)
    return dict(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="for `espalier run`; data.root=DIR is needed")
    parser.add_argument("--minutes", type=float, default=2, help="the budget")
    parser.add_argument("--full", dest="minutes", action="store_const", const=10, help="the same as --minutes 10")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the study in")
    arguments = parser.parse_intermixed_args()
    minutes = arguments.minutes
    with empty_home(arguments.keep) as home:
        memory = Memory(home)
        finished = run_study(["data=mnist", f"budget.minutes={minutes}", *arguments.overrides], home, memory.watch)
        times = Times(home, finished)
    print(times.table() + "\n")
    print_rows(_rows(finished, memory, times, minutes))


def _rows(finished: Finished, memory: Memory, times: Times, minutes: float) -> list[Row]:
    summary = finished.summary
    name, seeds = f"{summary['data']['name']}, {minutes:g} minutes", f"seed {summary['seed']}"
    error, most_seconds = summary["champion"]["test_error"], minutes * 60 + _GRACE_SECONDS
    gigabytes, proportional = memory.resident / 1e9, memory.proportional / 1e9
    processes = {process: round(size / 1e9, 3) for process, size in memory.by_process.items()}
    when = f"{times.before:.0f} s before, {times.between:.0f} s between, {times.after:.0f} s after the trials"
    where = {"before": times.before, "between": times.between, "after": times.after, **times.by_task}
    return [
        Row(
            f"{name}: the whole command",
            f"≤ {most_seconds:g} s",
            round(finished.seconds, 1),
            f"{finished.seconds:.0f} s",
            finished.seconds <= most_seconds,
            seeds,
            {"trials": summary["trials"]},
        ),
        Row(
            f"{name}: test error",
            f"≤ {_MOST_ERROR:.2%}",
            error,
            f"{error:.2%}",
            error <= _MOST_ERROR,
            seeds,
            {"champion": summary["champion"]},
        ),
        Row(
            f"{name}: peak memory of all processes",
            f"< {_MOST_GB} GB",
            round(gigabytes, 3),
            f"{gigabytes:.2f} GB ({proportional:.2f} GB with shared pages counted once)",
            gigabytes < _MOST_GB,
            seeds,
            {"proportional_gb": round(proportional, 3), "processes_gb": processes},
        ),
        Row(
            f"{name}: share of the time that is not training",
            f"≤ {_MOST_OTHER:.0%}",
            round(times.other, 4),
            f"{times.other:.1%} ({when})",
            times.other <= _MOST_OTHER,
            seeds,
            {place: round(seconds, 2) for place, seconds in where.items()},
        ),
    ]


if __name__ == "__main__":
    main()
