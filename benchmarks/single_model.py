"""How good is one network that nobody tuned? `search=none` with 8 minutes for MNIST, 20 for Fashion-MNIST.

    python -m benchmarks.single_model mnist=DIR fashion=DIR              # seed 0 and a quarter of the time: a look
    python -m benchmarks.single_model --full mnist=DIR fashion=DIR       # three seeds: an hour and a half
    python -m benchmarks.single_model --full --seeds 0 -- mnist=DIR      # 8 minutes

Each is a whole command, with an ESPALIER_HOME of its own that was empty before: test error, parameters, seconds, and
the peak of the resident memory summed over all its processes. Medians over the seeds, the largest for memory and
seconds. Further arguments are overrides for `espalier run`.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.commands import Finished, empty_home, run_study
from benchmarks.mnist_study import Memory
from benchmarks.rows import Row, print_rows
from benchmarks.trainings import split_arguments

_MOST_PARAMS = 400_000
_GRACE_SECONDS = 60
_QUICK_SHARE = 0.25


class Goal(NamedTuple):
    """What a data set's model is asked for."""

    minutes: float
    error: float


class Run(NamedTuple):
    """A command that was run, and the memory that it took."""

    finished: Finished
    memory: Memory


_GOALS = {"mnist": Goal(8, 0.004), "fashion_mnist": Goal(20, 0.062)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arguments", nargs="+", metavar="ARGUMENT", help="mnist=DIR, fashion=DIR, overrides")
    parser.add_argument("--full", action="store_true", help="all of the time, three seeds")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--share", type=float, help="of the time")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the studies in")
    arguments = parser.parse_intermixed_args()
    folders, overrides = split_arguments(arguments.arguments)
    seeds = arguments.seeds or list(range(3 if arguments.full else 1))
    share = arguments.share or (1.0 if arguments.full else _QUICK_SHARE)
    rows: list[Row] = []
    with empty_home(arguments.keep) as home:
        for name, root in folders.items():
            wished = [
                f"data={name}",
                f"data.root={root}",
                f"budget.minutes={share * _GOALS[name].minutes:g}",
                *overrides,
            ]
            runs = [_run([*wished, f"seed={seed}"], home / f"{name}-{seed}") for seed in seeds]
            rows += _rows(name, share, seeds, runs)
    print_rows(rows)


def _run(overrides: Sequence[str], home: Path) -> Run:
    memory = Memory(home)
    finished = run_study(["search=none", *overrides], home, memory.watch)
    print(f"{' '.join(overrides)}: {finished.summary['champion']}", file=sys.stderr, flush=True)
    return Run(finished, memory)


def _rows(name: str, share: float, seeds: Sequence[int], runs: Sequence[Run]) -> list[Row]:
    goal, said = _GOALS[name], f"seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}"
    minutes = share * goal.minutes
    champions = [run.finished.summary["champion"] for run in runs]
    errors = [champion["test_error"] for champion in champions]
    error, params = statistics.median(errors), max(champion["params"] for champion in champions)
    each = f" ({', '.join(f'{error:.2%}' for error in errors)})" if len(errors) > 1 else ""
    figure = f"{name}, search=none, {minutes:g} minutes"
    return [
        Row(
            f"{figure}: test error of one network",
            f"≤ {goal.error:.2%}" + ("" if share == 1 else f" in {goal.minutes:g} minutes"),
            error,
            f"{error:.2%}{each}",
            error <= goal.error,
            said,
            {"champions": champions},
        ),
        Row(f"{figure}: parameters", f"≤ {_MOST_PARAMS:,}", params, f"{params:,}", params <= _MOST_PARAMS, said),
        _cost(figure, minutes, said, runs),
    ]


def _cost(figure: str, minutes: float, seeds: str, runs: Sequence[Run]) -> Row:
    seconds, limit = max(run.finished.seconds for run in runs), minutes * 60 + _GRACE_SECONDS
    gigabytes = max(run.memory.resident for run in runs) / 1e9
    proportional = max(run.memory.proportional for run in runs) / 1e9
    return Row(
        f"{figure}: the whole command, and the peak memory of all its processes",
        f"≤ {limit:g} s",
        round(seconds, 1),
        f"{seconds:.0f} s, {gigabytes:.2f} GB ({proportional:.2f} GB with shared pages counted once)",
        seconds <= limit,
        seeds,
        {"seconds": [round(run.finished.seconds, 1) for run in runs], "gigabytes": round(gigabytes, 3)},
    )


if __name__ == "__main__":
    main()
