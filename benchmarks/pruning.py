"""Is half of the images enough? The half that a score chooses against all of them and against a random half.

    python -m benchmarks.pruning mnist=DIR                               # a fifth of the images, one seed: a look
    python -m benchmarks.pruning --full mnist=DIR                        # all images, three seeds
    python -m benchmarks.pruning --full --threads 1 --score forgetting -- mnist=DIR

Each is trained for the same number of epochs of its own images, so that half of the images take half of the time; test
errors are compared image by image, with the noise between seeds in the interval. The random half has as many images of
each class. The score is computed once a seed. Further arguments are overrides for all trainings.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.idx_folders import read_share, write_folder
from benchmarks.rows import Row, print_rows
from benchmarks.trainings import Bench, add_arguments, bench_of, opened_home, split_arguments
from modules.evaluation.outputs import Outputs
from modules.records import Interval, Part, TrialResult
from modules.search.judging import Evidence, effect_of, pooled_noise
from modules.search.selecting.prune import Prune
from modules.workers.pool import WorkerPool

_QUICK_IMAGES = 0.2
_WORSE = 0.001  # of the test error, up to which the half counts as no worse
_KINDS = ("all", "chosen", "random")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--full", action="store_true", help="all images, three seeds")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--epochs", type=float, default=12.0, help="of each training that is compared")
    parser.add_argument("--fraction", type=float, default=0.5)
    parser.add_argument("--score", choices=["el2n", "forgetting"], default="el2n")
    parser.add_argument("--end", choices=["hard", "easy"], help="of the score that is kept; by rule if not given")
    arguments = parser.parse_intermixed_args()
    seeds = arguments.seeds or list(range(3 if arguments.full else 1))
    folders, overrides = split_arguments(arguments.arguments)
    share = 1.0 if arguments.full else _QUICK_IMAGES
    rows: list[Row] = []
    with (
        opened_home(arguments.keep) as home,
        WorkerPool(1, arguments.threads, home / "logs", "modules.training.trial") as pool,
    ):
        for name, root in folders.items():
            folder = write_folder(home / f"{name}-{share:g}", Path(root), *read_share(Path(root), share))
            bench = bench_of(name, (f"data={name}", f"data.root={folder}", *overrides), home, pool)
            rows += _rows(bench, arguments, share, seeds)
    print_rows(rows)


def _rows(bench: Bench, arguments: argparse.Namespace, share: float, seeds: Sequence[int]) -> list[Row]:
    finder = Prune(fraction=arguments.fraction, score=arguments.score, keep=arguments.end)
    trials: dict[str, list[TrialResult]] = {kind: [] for kind in _KINDS}
    seen: dict[str, list[Outputs]] = {kind: [] for kind in _KINDS}
    scoring = []
    for seed in seeds:
        recipe = bench.recipe()
        workplace = bench.workplace(recipe.updated(augmentation=()), seed)
        found = finder.find(workplace)
        scoring.append(found.seconds)
        selections: dict[str, Part] = {
            "all": recipe.selection,
            "chosen": found.selection,
            "random": workplace.random_like(found.selection),
        }
        for kind, selection in selections.items():
            chosen = recipe.updated(selection=selection)
            result = bench.train(f"{kind}: {bench.num_train(chosen):,} images", chosen, seed, arguments.epochs)
            assert result is not None
            trials[kind].append(result)
            seen[kind].append(bench.laboratory.observe(chosen, result, "test"))
    said = f"seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}"
    errors = {kind: statistics.mean(one.error for one in outputs) for kind, outputs in seen.items()}
    seconds = {kind: statistics.median(one.seconds for one in results) for kind, results in trials.items()}
    images = "the images" if share == 1 else f"a share of {share:.0%} of the images"
    figure = f"{bench.name}, {arguments.fraction:.0%} of {images} by {arguments.score}, {arguments.epochs:g} epochs"
    details = {"errors": errors, "seconds": seconds, "scoring_seconds": scoring}
    against_all, against_random = (_difference(seen["chosen"], seen[other]) for other in ("all", "random"))
    return [
        Row(
            f"{figure}: test error against that with all images",
            f"no worse (interval, up to +{100 * _WORSE:g} points)",
            against_all.estimate,
            f"{errors['chosen']:.2%} against {errors['all']:.2%}: {_points(against_all)}",
            against_all.high <= _WORSE,
            said,
            details,
        ),
        Row(
            f"{figure}: test error against that with a random half",
            "better (interval)",
            against_random.estimate,
            f"{errors['chosen']:.2%} against {errors['random']:.2%}: {_points(against_random)}",
            against_random.high < 0,
            said,
            details,
        ),
        Row(
            f"{figure}: seconds of a training",
            "shown",
            round(seconds["chosen"], 1),
            f"{seconds['chosen']:.0f} s against {seconds['all']:.0f} s with all; choosing took "
            f"{statistics.median(scoring):.0f} s, once",
            True,
            said,
            details,
        ),
    ]


def _difference(ours: Sequence[Outputs], theirs: Sequence[Outputs]) -> Interval:
    """Of the test errors, with an interval that carries images and seeds."""
    noise = pooled_noise([[one.error for one in outputs] for outputs in (ours, theirs)], _errors(theirs).loss)
    return effect_of(_errors(ours), _errors(theirs), noise).interval


def _errors(outputs: Sequence[Outputs]) -> Evidence:
    """Errors in place of losses, seed by seed."""
    wrong = np.stack([one.wrong for one in outputs])
    return Evidence(wrong.astype(np.float64), wrong)


def _points(interval: Interval) -> str:
    low, middle, high = (100 * value for value in (interval.low, interval.estimate, interval.high))
    return f"{middle:+.2f} ({low:+.2f} to {high:+.2f}) points"


if __name__ == "__main__":
    main()
