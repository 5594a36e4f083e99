"""What does searching buy? A network of a fifth of the parameters with the same validation error, in the same time.

    python -m benchmarks.search_buys mnist=DIR                             # seed 0: three studies of 10 minutes
    python -m benchmarks.search_buys --full mnist=DIR fashion=DIR    # three seeds of both: three hours

Three studies for each data set and seed, each a whole command with the same minutes, in homes that were empty before:

- none: `experiment=accurate`, its one network trained for all of the time;
- limited: the same with search=edits and objective.max_params at a fifth of that network's parameters;
- plain: that limit and no search, so that what the rule for a first network gives away for nothing is not called found.

The difference is that of the errors on *confirm*, paired image by image, with its interval over the images. *Confirm*
decided at most which of two final trainings is the winner. Further arguments are overrides.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.commands import empty_home, run_study
from benchmarks.rows import Row, print_rows, print_table
from benchmarks.trainings import split_arguments
from flows.comparing import read_studies
from modules.evaluation.intervals import paired_interval
from modules.report.comparison import ComparedStudy, kept_edits

_SHARE = 5  # the winner's parameters, of those of the network without a search
_MINUTES = 10.0
_PRESET = "experiment=accurate"
_ARMS = {"none": ("search=none",), "limited": ("search=edits",), "plain": ("search=none",)}


class Pair(NamedTuple):
    """Errors on *confirm*: what the second has more than the first, and the interval at 95 %."""

    difference: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.difference:+.2f} ({100 * self.low:+.2f} to {100 * self.high:+.2f}) points"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arguments", nargs="+", metavar="ARGUMENT", help="mnist=DIR, fashion=DIR, overrides")
    parser.add_argument("--full", action="store_true", help="three seeds")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--minutes", type=float, default=_MINUTES, help=f"of each study (default {_MINUTES:g})")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the studies in")
    arguments = parser.parse_intermixed_args()
    folders, overrides = split_arguments(arguments.arguments)
    seeds = arguments.seeds or list(range(3 if arguments.full else 1))
    rows: list[Row] = []
    with empty_home(arguments.keep) as home:
        for data, folder in folders.items():
            wished = [_PRESET, f"data={data}", f"data.root={folder}", f"budget.minutes={arguments.minutes:g}"]
            runs = [_studies([*wished, *overrides, f"seed={seed}"], home / f"{data}-{seed}") for seed in seeds]
            _print_studies(data, seeds, runs)
            rows += _rows(data, arguments.minutes, seeds, runs)
    print_rows(rows)


def _studies(overrides: Sequence[str], home: Path) -> dict[str, ComparedStudy]:
    """The study of each arm; the limit of two of them follows from what the first came to."""
    studies: dict[str, ComparedStudy] = {}
    for arm, own in _ARMS.items():
        limit = [f"objective.max_params={studies['none'].champion['params'] // _SHARE}"] if studies else []
        run_study([*overrides, *own, *limit, f"study={arm}"], home / arm)
        (studies[arm],) = read_studies([arm], home / arm)
        print(f"{arm}: {studies[arm].champion}", file=sys.stderr, flush=True)
    return studies


def _against_none(studies: dict[str, ComparedStudy], arm: str) -> Pair:
    first, other = (studies[name].seen["confirm"].wrong for name in ("none", arm))
    only_first, only_other = int((first & ~other).sum()), int((other & ~first).sum())
    low, high = paired_interval(only_first, only_other, len(first))
    return Pair((only_other - only_first) / len(first), low, high)


def _print_studies(data: str, seeds: Sequence[int], runs: Sequence[dict[str, ComparedStudy]]) -> None:
    lines = []
    for seed, studies in zip(seeds, runs, strict=True):
        for arm, study in studies.items():
            champion, pair = study.champion, _against_none(studies, arm)
            errors = [f"{champion[name]:.2%}" for name in ("val_error", "test_error")]
            lines.append((str(seed), arm, f"{champion['params']:,}", *errors, str(pair), "; ".join(kept_edits(study))))
    columns = ("seed", "arm", "parameters", "error on confirm", "test error", "against none on confirm", "kept")
    print_table(f"What searching buys: {data}", columns, lines)


def _rows(data: str, minutes: float, seeds: Sequence[int], runs: Sequence[dict[str, ComparedStudy]]) -> list[Row]:
    return [_row(data, minutes, seeds, runs, arm) for arm in _ARMS if arm != "none"]


def _row(data: str, minutes: float, seeds: Sequence[int], runs: Sequence[dict[str, ComparedStudy]], arm: str) -> Row:
    pairs = [_against_none(studies, arm) for studies in runs]
    shares = [studies["none"].champion["params"] / studies[arm].champion["params"] for studies in runs]
    median = statistics.median(pair.difference for pair in pairs)
    what = "search=edits" if arm == "limited" else "for comparison, no search"
    return Row(
        figure=f"{data}, {minutes:g} minutes: error on confirm of a network of at most a fifth of the parameters "
        f"({what}), minus that of {_PRESET}",
        target=f"not above 0 (interval), parameters ≤ 1/{_SHARE}" if arm == "limited" else "–",
        value=median,
        shown=f"{'; '.join(map(str, pairs))}, with 1/{statistics.median(shares):.1f} of the parameters",
        met=arm != "limited" or (sum(pair.low <= 0 for pair in pairs) * 2 > len(pairs) and min(shares) >= _SHARE),
        seeds=f"seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}",
        details={"studies": [{arm: study.champion for arm, study in studies.items()} for studies in runs]},
    )


if __name__ == "__main__":
    main()
