"""Are wrong labels found, and does it pay? A tenth of the training labels is made wrong.

    python -m benchmarks.label_noise mnist=DIR fashion=DIR               # a fifth of the images, one seed: a look
    python -m benchmarks.label_noise --full mnist=DIR fashion=DIR        # all images, three seeds
    python -m benchmarks.label_noise --full --threads 1 --seeds 0 -- mnist=DIR

MNIST's labels become any other, Fashion-MNIST's that of the class they are most easily taken for (a shirt for a
T-shirt, a coat for a pullover). `selection=clean` flags labels of the training part: precision and recall are against
those that were made wrong, so that labels that were wrong before count against it. The gap is that of the test errors
of the same recipe trained for as many samples on noisy and on clean labels; won back is the share of it by which
training without what was flagged is better; training under the labels that the networks suggest stands beside it. Each
seed makes other labels wrong. Further arguments are overrides.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.idx_folders import read_share, write_folder
from benchmarks.rows import Row, print_rows
from benchmarks.trainings import Bench, add_arguments, bench_of, opened_home, say, split_arguments
from modules.data.parts import content_hashes
from modules.randomness import uniform, words
from modules.recipe import Recipe
from modules.search.selecting.clean import Clean
from modules.workers.pool import WorkerPool

_SHARE = 0.1  # of the labels
_QUICK_IMAGES = 0.2  # of the images
_NEIGHBOURS = (6, 3, 4, 4, 2, 7, 0, 9, 0, 7)  # what each of Fashion-MNIST's classes is taken for


class Goal(NamedTuple):
    """What is asked for."""

    precision: float
    recall: float


_GOALS = {"mnist": Goal(0.90, 0.85), "fashion_mnist": Goal(0.70, 0.60)}
_WON_BACK = 0.5


class Found(NamedTuple):
    """Of one seed: what was flagged, and the test errors with clean labels, noisy ones and mended ones."""

    precision: float
    recall: float
    clean: float
    noisy: float
    left_out: float
    relabelled: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--full", action="store_true", help="all images, three seeds")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--epochs", type=float, default=8.0, help="of each training whose test error is compared")
    arguments = parser.parse_intermixed_args()
    folders, overrides = split_arguments(arguments.arguments)
    seeds = arguments.seeds or list(range(3 if arguments.full else 1))
    share = 1.0 if arguments.full else _QUICK_IMAGES
    rows: list[Row] = []
    with (
        opened_home(arguments.keep) as home,
        WorkerPool(1, arguments.threads, home / "logs", "modules.training.trial") as pool,
    ):
        for name, root in folders.items():
            found = [_found(name, Path(root), share, seed, arguments.epochs, overrides, home, pool) for seed in seeds]
            rows += _rows(name, share, seeds, arguments.epochs, found)
    print_rows(rows)


def _found(
    name: str,
    root: Path,
    share: float,
    seed: int,
    epochs: float,
    overrides: Sequence[str],
    home: Path,
    pool: WorkerPool,
) -> Found:
    clean, noisy = (
        bench_of(name, (f"data={name}", f"data.root={folder}", *overrides), home, pool)
        for folder in _folders(name, root, share, seed, home)
    )
    recipe = noisy.recipe("augmentation=none")
    workplace = noisy.workplace(recipe, seed)
    found, renamed = (Clean(suspects=treatment).find(workplace) for treatment in ("left_out", "relabelled"))
    arrays, truth = workplace.arrays, clean.arrays()
    train = arrays.indices("train")
    assert (content_hashes(arrays.images[train[:9]]) == content_hashes(truth.images[train[:9]])).all()
    is_wrong = arrays.labels[train] != truth.labels[train]
    flagged = arrays.labels[train] != arrays.under(renamed.selection)[0].labels[train]
    precision, recall = is_wrong[flagged].mean(), flagged[is_wrong].mean()
    say(
        f"{name}, seed {seed}: flagged {flagged.sum():,} of {len(train):,}, "
        f"precision {precision:.3f}, recall {recall:.3f}"
    )
    errors = [
        _test_error(what, bench, bench.recipe(f"seed={seed}").updated(selection=selection), seed, samples)
        for samples in [round(epochs * len(train))]
        for what, bench, selection in (
            ("clean labels", clean, recipe.selection),
            ("noisy labels", noisy, recipe.selection),
            ("selection=clean", noisy, found.selection),
            ("selection=clean, relabelled", noisy, renamed.selection),
        )
    ]
    return Found(float(precision), float(recall), *errors)


def _test_error(what: str, bench: Bench, recipe: Recipe, seed: int, samples: int) -> float:
    epochs = samples / bench.num_train(recipe)
    result = bench.train(what, recipe, seed, epochs)
    assert result is not None
    return bench.laboratory.observe(recipe, result, "test").error


def _folders(name: str, root: Path, share: float, seed: int, home: Path) -> tuple[Path, Path]:
    """A share of the images with their labels, and with a tenth of those made wrong."""
    images, labels = read_share(root, share)
    places = np.arange(len(labels), dtype=np.uint64)
    flipped = uniform("label noise", seed, places) < _SHARE
    others = _others(name, labels, words("other label", seed, places))
    return (
        write_folder(home / f"{name}-right-{share:g}", root, images, labels),
        write_folder(home / f"{name}-wrong-{share:g}-{seed}", root, images, np.where(flipped, others, labels)),
    )


def _others(name: str, labels: NDArray[np.uint8], draws: NDArray[np.uint64]) -> NDArray[np.uint8]:
    if name == "fashion_mnist":
        return np.array(_NEIGHBOURS, dtype=np.uint8)[labels]
    return ((labels + 1 + draws % np.uint64(9)) % 10).astype(np.uint8)


def _rows(name: str, share: float, seeds: Sequence[int], epochs: float, found: Sequence[Found]) -> list[Row]:
    goal = _GOALS[name]
    said = f"seeds {', '.join(map(str, seeds))}, medians" if len(seeds) > 1 else f"seed {seeds[0]}"
    kind = "a confusing class" if name == "fashion_mnist" else "any other"
    figure = f"{name}{'' if share == 1 else f', {share:.0%} of the images'}, 10% of the labels {kind}'s"
    details = {"found": [one._asdict() for one in found]}
    rows = []
    for what, least in (("precision", goal.precision), ("recall", goal.recall)):
        value = statistics.median(getattr(one, what) for one in found)
        rows.append(
            Row(
                f"{figure}: {what} of what is flagged",
                f"≥ {least:.2f}",
                value,
                f"{value:.3f}",
                value >= least,
                said,
                details,
            )
        )
    clean, noisy, left_out, relabelled = (
        statistics.mean(getattr(one, what) for one in found) for what in ("clean", "noisy", "left_out", "relabelled")
    )
    gap = noisy - clean
    won = (noisy - left_out) / gap if gap > 0 else float("nan")
    shown = (
        f"{won:.0%} (test errors: clean {clean:.2%}, noisy {noisy:.2%}, flagged ones left out {left_out:.2%}, "
        f"relabelled {relabelled:.2%})"
    )
    rows.append(
        Row(
            f"{figure}: share of the gap in test error that selection=clean wins back, {epochs:g} epochs",
            f"≥ {_WON_BACK:.0%}",
            won if gap > 0 else 0.0,
            shown if gap > 0 else f"no gap: {shown}",
            won >= _WON_BACK,
            said.replace("medians", "means"),
            details,
        )
    )
    return rows


if __name__ == "__main__":
    main()
