"""A whole study against Optuna alone: TPE and Hyperband over the same space, architectures as categories.

    python -m benchmarks.against_optuna mnist=DIR                                  # seed 0, 5 minutes each
    python -m benchmarks.against_optuna --full mnist=DIR fashion_mnist=DIR         # three seeds, 20 minutes each

Both are whole commands with the same minutes, each in a home that was empty before. Ours: generations of edits and the
space `recipe`. Optuna alone: `espalier sweep architecture`, which is Optuna's TPE and Hyperband over most of the same
hyper-parameters with the network and its width as further ones, the default recipe tried first; the best of its tries,
each of a twelfth of the budget, is what it ends with, as after a study of Optuna's.
Ours has to have the lower test error, or the same (within a standard error) with at most half the parameters.
Overrides are passed to both.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.commands import empty_home, run_study
from benchmarks.rows import Row, print_rows

_DATA = ("mnist", "fashion_mnist")
_TEST_IMAGES = 10_000
_ARMS = {
    "ours": ("search=edits", "search.space=recipe"),
    "Optuna alone": ("search=sweep", "search.space=architecture"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arguments", nargs="+", metavar="ARGUMENT", help=f"{'=DIR, '.join(_DATA)}=DIR or overrides")
    parser.add_argument("--full", action="store_true", help="three seeds, 20 minutes each")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the studies in")
    arguments = parser.parse_intermixed_args()
    pairs = [each.partition("=") for each in arguments.arguments]
    folders = {name: folder for name, _, folder in pairs if name in _DATA}
    overrides = ["".join(pair) for pair in pairs if pair[0] not in _DATA]
    if not folders:
        sys.exit(f"no data: say NAME=DIR, where NAME is one of {', '.join(_DATA)}")
    seeds = arguments.seeds or list(range(3 if arguments.full else 1))
    minutes = arguments.minutes or (20 if arguments.full else 5)
    rows = []
    with empty_home(arguments.keep) as home:
        for name, folder in folders.items():
            common = [f"data={name}", f"data.root={folder}", f"budget.minutes={minutes:g}", "prior=none", *overrides]
            found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in _ARMS}
            for seed in seeds:
                for arm, wished in _ARMS.items():  # turn by turn, so that both see the same machine
                    place = home / f"{name}-{seed}-{arm.split()[0]}"
                    found[arm].append(run_study([*wished, *common, f"seed={seed}"], place).summary["champion"])
            rows.append(_row(name, minutes, seeds, found))
    print_rows(rows)


def _row(name: str, minutes: float, seeds: Sequence[int], found: dict[str, list[dict[str, Any]]]) -> Row:
    ours, theirs = (statistics.median(each["test_error"] for each in found[arm]) for arm in _ARMS)
    params, others = (statistics.median(each["params"] for each in found[arm]) for arm in _ARMS)
    noise = math.sqrt(2 * theirs * (1 - theirs) / _TEST_IMAGES)
    met = ours < theirs or (ours <= theirs + noise and params <= others / 2)
    return Row(
        figure=f"{name}, {minutes:g} minutes: test error, ours and Optuna alone",
        target="lower, or the same with half the parameters",
        value=ours - theirs,
        shown=f"{ours:.2%} with {params:,.0f} parameters, {theirs:.2%} with {others:,.0f}",
        met=met,
        seeds=f"seeds {', '.join(map(str, seeds))}",
        details=found,
    )


if __name__ == "__main__":
    main()
