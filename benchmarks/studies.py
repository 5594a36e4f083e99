"""What does a whole study come to? Test errors of MNIST, Fashion-MNIST and CIFAR-10 in 15, 30 and 60 minutes.

    python -m benchmarks.studies mnist-15=DIR                                    # seed 0: a quarter of an hour
    python -m benchmarks.studies --full mnist-15=DIR mnist-60=DIR fashion-60=DIR cifar-30=DIR cifar-60=DIR   # 11 hours
    python -m benchmarks.studies --seeds 0 1 -- cifar-30=DIR search=none

Each is a whole command on two quiet cores, with an ESPALIER_HOME that was empty before. What is trained was chosen on
validation images; the test set is opened once, at the end. Medians over the seeds. Further arguments are overrides.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.commands import Finished, empty_home, run_study
from benchmarks.rows import Row, print_rows

_GRACE_SECONDS = 60


class Goal(NamedTuple):
    """A data set's time, and the test error and the size of a network that are asked for."""

    data: str
    minutes: float
    error: float
    params: int | None
    overrides: tuple[str, ...]


_ACCURATE = ("experiment=accurate", "search=edits")
_COLOUR = ("experiment=colour",)
_GOALS = {
    "mnist-15": Goal("mnist", 15, 0.0040, None, _ACCURATE),
    "mnist-60": Goal("mnist", 60, 0.0033, None, _ACCURATE),
    "fashion-60": Goal("fashion_mnist", 60, 0.058, 500_000, _ACCURATE),
    "cifar-30": Goal("cifar10", 30, 0.08, None, _COLOUR),
    "cifar-60": Goal("cifar10", 60, 0.06, None, _COLOUR),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arguments", nargs="+", metavar="ARGUMENT", help=f"NAME=DIR of {', '.join(_GOALS)}; overrides")
    parser.add_argument("--full", action="store_true", help="three seeds")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the studies in")
    arguments = parser.parse_intermixed_args()
    pairs = [argument.partition("=") for argument in arguments.arguments]
    folders = {name: folder for name, _, folder in pairs if name in _GOALS}
    overrides = ["".join(pair) for pair in pairs if pair[0] not in _GOALS]
    if not folders:
        sys.exit(f"no study: say NAME=DIR, where NAME is one of {', '.join(_GOALS)}")
    seeds = arguments.seeds or list(range(3 if arguments.full else 1))
    rows: list[Row] = []
    with empty_home(arguments.keep) as home:
        for name, folder in folders.items():
            goal = _GOALS[name]
            wished = [*goal.overrides, f"data={goal.data}", f"data.root={folder}", f"budget.minutes={goal.minutes:g}"]
            runs = [run_study([*wished, *overrides, f"seed={seed}"], home / f"{name}-{seed}") for seed in seeds]
            rows += _rows(goal, [*goal.overrides, *overrides], seeds, runs)
    print_rows(rows)


def _rows(goal: Goal, overrides: Sequence[str], seeds: Sequence[int], runs: Sequence[Finished]) -> list[Row]:
    champions = [run.summary["champion"] for run in runs]
    errors, params = [each["test_error"] for each in champions], [each["params"] for each in champions]
    seconds = max(run.seconds for run in runs)
    median, most = statistics.median(errors), max(params)
    what = f"{goal.data}, {goal.minutes:g} minutes, {', '.join(overrides)}"
    said = f"seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}"
    listed = ", ".join(f"{error:.2%}" for error in errors)
    details = {"champions": champions}
    size = f" with at most {goal.params:,} parameters" if goal.params else ""
    return [
        Row(
            figure=f"{what}: test error",
            target=f"≤ {goal.error:.2%}{size}",
            value=median,
            shown=f"{median:.2%} ({listed}) with {most:,} parameters"
            if len(seeds) > 1
            else f"{listed}, {most:,} params",
            met=median <= goal.error and (goal.params is None or most <= goal.params),
            seeds=said,
            details=details,
        ),
        Row(
            figure=f"{what}: the whole command",
            target=f"≤ {goal.minutes * 60 + _GRACE_SECONDS:.0f} s",
            value=round(seconds, 1),
            shown=f"{seconds:.0f} s",
            met=seconds <= goal.minutes * 60 + _GRACE_SECONDS,
            seeds=said,
        ),
    ]


if __name__ == "__main__":
    main()
