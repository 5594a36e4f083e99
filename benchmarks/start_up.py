"""Does the command line answer at once? Wall seconds of fresh processes: `espalier --help` and refused overrides.

    python -m benchmarks.start_up

The commands take turns, so that a busy moment hits all of them; the median of 7 of each counts. 20 seconds.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.commands import espalier
from benchmarks.rows import Row, print_rows


class _Command(NamedTuple):
    figure: str
    arguments: tuple[str, ...]
    exit_code: int
    most_seconds: float


_COMMANDS = (
    _Command("`espalier --help`", ("--help",), 0, 0.5),
    _Command("refused: an unknown key", ("run", "training.learning_rat=0.1"), 2, 1.5),
    _Command("refused: an unknown choice", ("run", "data=mnits"), 2, 1.5),
    _Command("refused: a negative rate", ("run", "training.learning_rate=-0.1"), 2, 1.5),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=7, help="of each command")
    processes = parser.parse_args().processes
    seconds: dict[_Command, list[float]] = {command: [] for command in _COMMANDS}
    with tempfile.TemporaryDirectory() as home:
        for _ in range(processes):
            for command in _COMMANDS:
                seconds[command].append(_seconds_of(command, Path(home)))
    print_rows([_row(command, taken) for command, taken in seconds.items()])


def _seconds_of(command: _Command, home: Path) -> float:
    environment = {**os.environ, "ESPALIER_HOME": str(home)}
    start = time.perf_counter()
    done = subprocess.run([espalier(), *command.arguments], env=environment, cwd=home, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != command.exit_code:
        raise SystemExit(f"{command.figure}: exit code {done.returncode} and not {command.exit_code}\n{done.stderr}")
    return seconds


def _row(command: _Command, seconds: list[float]) -> Row:
    median = statistics.median(seconds)
    return Row(
        figure=command.figure,
        target=f"< {command.most_seconds} s",
        value=round(median, 4),
        shown=f"{median:.2f} s (median of {len(seconds)}, {min(seconds):.2f} to {max(seconds):.2f})",
        met=median < command.most_seconds,
        seeds="–",
        details={"seconds": [round(each, 4) for each in seconds]},
    )


if __name__ == "__main__":
    main()
