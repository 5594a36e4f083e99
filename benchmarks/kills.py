"""Does a study survive anything? Kills all over a study on digits, serial and with two processes.

    python -m benchmarks.kills                  # 3 with each runner, 10 minutes
    python -m benchmarks.kills --full           # 25 with each, 50 in all

Each study is struck once, at another write, flush or rename of its files: the worker is killed, or worker and study
are, or the file is cut in half first, or the disk is full. Then the same command goes on. Counted are winners that are
those of an undisturbed study to the bit, with every trial of the store, and no trial twice. Run from a checkout: the
faults are those of tests/faults.
"""

import argparse
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import empty_home
from benchmarks.rows import Row, print_rows
from tests.faults.conftest import SERIAL, TWO, num_operations, outcome, run_to_its_end, weights
from tests.faults.faulty_disk import Fault
from tests.faults.test_kills import fault_number
from tests.integration.conftest import Runner

_QUICK, _FULL = 3, 25


@dataclass(frozen=True)
class Killed:
    """What became of a study that was struck."""

    same: bool
    seconds: float
    starts: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help=f"{_FULL} kills with each runner instead of {_QUICK}")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the studies in")
    arguments = parser.parse_args()
    kills = _FULL if arguments.full else _QUICK
    with empty_home(arguments.keep) as folder:
        undisturbed = Runner(folder / "undisturbed", Fault("none", 0, str(folder / "count")).environment)
        started = time.monotonic()
        done = undisturbed.run(*SERIAL)
        if done.returncode:
            sys.exit(done.stderr)
        ordinary = time.monotonic() - started
        commands = {"serial": SERIAL, "two processes": TWO}
        killed = {
            name: [_kill(undisturbed, folder / name, command, number, kills) for number in range(kills)]
            for name, command in commands.items()
        }
    print_rows([_row(name, studies, ordinary) for name, studies in killed.items()])


def _kill(undisturbed: Runner, folder: Path, command: tuple[str, ...], number: int, kills: int) -> Killed:
    folder.mkdir(exist_ok=True)
    runner = Runner(folder / f"home-{number}")
    started = time.monotonic()
    fault = fault_number(number, kills, num_operations(undisturbed), folder)
    starts = run_to_its_end(runner, *command, fault=fault)
    same = outcome(runner) == outcome(undisturbed) and weights(runner) == weights(undisturbed)
    return Killed(same and fault.count >= fault.at, time.monotonic() - started, starts)


def _row(name: str, studies: list[Killed], ordinary: float) -> Row:
    same = sum(one.same for one in studies)
    again = [one.seconds - ordinary for one in studies if one.starts > 1]
    cost = f"; going on costs {statistics.median(again):.0f} s beyond {ordinary:.0f} s undisturbed" if again else ""
    return Row(
        figure=f"digits, {name}, killed {len(studies)} times: studies with the same winner and trials to the bit",
        target=f"{len(studies)} of {len(studies)}",
        value=same,
        shown=f"{same} of {len(studies)}{cost}",
        met=same == len(studies),
        seeds="seed 0",
    )


if __name__ == "__main__":
    main()
