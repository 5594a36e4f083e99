"""What does halving a pretrained network cost? A study without a limit, and one with half of its parameters.

    python -m benchmarks.shrinking DIR                          # 100 images a class, seed 0: a quarter of an hour
    python -m benchmarks.shrinking --seeds 0 1 2 -- DIR         # the same with three draws
    python -m benchmarks.shrinking --full DIR                   # 500 images a class, three seeds: hours
    python -m benchmarks.shrinking --seeds 0 1 -- DIR transfer.distillation=null

DIR holds photographs as train/CLASS/FILE and test/CLASS/FILE, as CIFAR-10's do. Each seed draws other training images;
all test images are looked at, once, at the end of each study. Needs the weights that `espalier[pretrained]` brings. The
quick form trains less at a time, on images of one size, and judges no gears: the whole network is fine-tuned once, and
the same weights, found in the store, are what is narrowed. Further arguments are overrides for both studies.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.commands import Finished, empty_home, run_study
from benchmarks.photographs import draw_photographs
from benchmarks.rows import Row, print_rows

_IMAGES, _FULL_IMAGES = 100, 500  # a class
_QUICK = ("transfer.sides=[96]", "transfer.gears=[]", "search.baseline_samples=12000", "search.final_samples=12000")
_QUICK_HALF = ("search.generations=2", "search.edits_per_generation=2", "search.slice_samples=1500")
_LOST = 0.01  # of the validation error, at most


class Pair(NamedTuple):
    """The whole network and half of it."""

    whole: Finished
    half: Finished


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arguments", nargs="+", metavar="ARGUMENT", help="DIR, then overrides")
    parser.add_argument("--full", action="store_true", help="500 images a class, three seeds")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--images", type=int, help="a class")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the studies in")
    arguments = parser.parse_intermixed_args()
    folder, *overrides = arguments.arguments
    if not all((Path(folder) / part).is_dir() for part in ("train", "test")):
        sys.exit(f"{folder} has no folders train and test with photographs, a folder for each class")
    seeds = arguments.seeds or list(range(3 if arguments.full else 1))
    images = arguments.images or (_FULL_IMAGES if arguments.full else _IMAGES)
    with empty_home(arguments.keep) as home:
        pairs = [_studied(Path(folder), images, seed, overrides, home, not arguments.full) for seed in seeds]
    print_rows(_rows(pairs, images, seeds, overrides))


def _studied(folder: Path, images: int, seed: int, overrides: Sequence[str], home: Path, quick: bool) -> Pair:
    photographs = draw_photographs(folder, home / f"photographs-{seed}", images, seed)
    wished = ["data=folder", f"data.root={photographs}", "explanation=none", f"seed={seed}", *(_QUICK if quick else ())]
    whole = run_study([*wished, *overrides, "study=whole"], home / f"{seed}")
    most = whole.summary["champion"]["params"] // 2
    wished += [*(_QUICK_HALF if quick else ()), *overrides, f"objective.max_params={most}"]
    return Pair(whole, run_study([*wished, "study=half"], home / f"{seed}"))


def _rows(pairs: Sequence[Pair], images: int, seeds: Sequence[int], overrides: Sequence[str]) -> list[Row]:
    said = f"seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}"
    figure = ", ".join([f"half of the parameters, {images} images a class", *overrides])
    champions = {name: [getattr(pair, name).summary["champion"] for pair in pairs] for name in ("whole", "half")}
    lost = {part: _lost(champions, f"{part}_error") for part in ("val", "test")}
    most = max(
        one["params"] / other["params"] for one, other in zip(champions["half"], champions["whole"], strict=True)
    )
    seconds = {name: statistics.median(getattr(pair, name).seconds for pair in pairs) for name in champions}
    return [
        Row(
            f"{figure}: validation error lost",
            f"≤ {100 * _LOST:g} point",
            lost["val"],
            _shown(champions, "val_error"),
            lost["val"] <= _LOST,
            said,
            {"champions": champions},
        ),
        Row(f"{figure}: test error lost", "shown", lost["test"], _shown(champions, "test_error"), True, said),
        Row(f"{figure}: parameters left", "≤ 50 %", most, f"{most:.1%}", most <= 0.5, said),
        Row(
            f"{figure}: the whole command",
            "shown",
            round(seconds["half"], 1),
            f"{seconds['half']:.0f} s, beyond the {seconds['whole']:.0f} s of the study without a limit",
            True,
            said,
        ),
    ]


def _lost(champions: dict[str, list[dict[str, float]]], error: str) -> float:
    """The mean over the seeds of what half of the network errs more often."""
    pairs = zip(champions["half"], champions["whole"], strict=True)
    return statistics.mean(half[error] - whole[error] for half, whole in pairs)


def _shown(champions: dict[str, list[dict[str, float]]], error: str) -> str:
    half, whole = (", ".join(f"{one[error]:.2%}" for one in champions[name]) for name in ("half", "whole"))
    return f"{100 * _lost(champions, error):+.2f} points: {half} against {whole}"


if __name__ == "__main__":
    main()
