"""Is the augmentation that is found as good as the best that is given, and what does finding it cost?

    python -m benchmarks.augmentation_found --threads 1 mnist=DIR fashion=DIR               # seed 0, 4 epochs
    python -m benchmarks.augmentation_found --threads 1 --full mnist=DIR fashion=DIR        # three seeds, 15 epochs
    python -m benchmarks.augmentation_found --threads 1 mnist=DIR selection=random selection.fraction=0.1     # a look

Found once, as a study of 15 minutes would, on *steer*; then the same network is trained from the same weights on the
same images in the same order with the found policy, with none, with the one chosen by hand for the data, with
TrivialAugment and with RandAugment. The test set is opened once for each training, after all of them. "The best of the
given" is the one of the lowest error on *steer*; the found policy's test error must not be above that one's by more
than chance: the 95 % interval (t, paired by seeds; with one seed, McNemar's over the images) reaches down to none. The
policy for MNIST must have no flips.
"""

import argparse
import statistics
import sys
from typing import NamedTuple

import numpy as np
from scipy import stats

from benchmarks.rows import Row, print_json, print_rows, print_table
from benchmarks.trainings import Bench, add_arguments, opened_benches, say
from flows.translation import configured_wishes
from modules.config import resolve
from modules.recipe import Recipe
from modules.records import TrialResult
from modules.search.augmentation import BUDGET_SHARE, CONTROLS, FoundPolicy, effort, most_trials
from modules.search.finding import Finder
from modules.search.pace import samples_within
from modules.search.planning import training_seconds
from modules.training.spec import TrialSpec

_GIVEN = {
    "none": "augmentation=none",
    "by hand": "augmentation=for_{}",
    "TrivialAugment": "augmentation=trivial_augment",
    "RandAugment": "augmentation=rand_augment",
}
_FOUND = "found"
_MINUTES = 15.0
_MOST_SHARE = 0.1
_FULL_SEEDS, _FULL_EPOCHS = 3, 15.0


class Trained(NamedTuple):
    """The trainings of a policy, one a seed."""

    recipe: Recipe
    trials: list[TrialResult]

    @property
    def steer_error(self) -> float:
        """The mean over seeds."""
        return statistics.mean(trial.steer_error for trial in self.trials)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--full", action="store_true", help=f"{_FULL_SEEDS} seeds and {_FULL_EPOCHS:g} epochs")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--epochs", type=float)
    arguments = parser.parse_intermixed_args()
    seeds = range(arguments.seeds or (_FULL_SEEDS if arguments.full else 1))
    epochs = arguments.epochs or (_FULL_EPOCHS if arguments.full else 4.0)
    rows: list[Row] = []
    with opened_benches(arguments) as benches:
        for bench in benches:
            rows += _measure(bench, seeds, epochs)
    print_rows(rows)


def _measure(bench: Bench, seeds: range, epochs: float) -> list[Row]:
    found = _find(bench)
    trained = _train_all(bench, found, seeds, epochs)
    wrong = {
        name: np.stack([bench.laboratory.observe(each.recipe, trial, "test").wrong for trial in each.trials])
        for name, each in trained.items()
    }
    best = min(_GIVEN, key=lambda name: trained[name].steer_error)
    low, mean, high = _difference(wrong[_FOUND], wrong[best])
    errors = {name: float(one.mean()) for name, one in wrong.items()}
    print_json({"data": bench.name, "test_errors": errors, "best_given": best, "policy": _described(found)})
    lines = [
        (name, f"{trained[name].steer_error:.2%}", f"{errors[name]:.2%}", "best of the given" if name == best else "")
        for name in trained
    ]
    print_table(f"{bench.name}, {epochs:g} epochs", ("augmentation", "error on steer", "test error", ""), lines)
    share = found.seconds / (60 * _MINUTES)
    flips = [part for part in found.transforms if part.name == "Flip"]
    which = f"seeds 0 to {len(seeds) - 1}" if len(seeds) > 1 else "seed 0"
    difference = f"{mean:+.2%} ({low:+.2%} to {high:+.2%}) against {best}"
    rows = [
        Row(
            f"{bench.name}, {epochs:g} epochs: test error with the policy found",
            "no higher than with the best of the given (interval)",
            errors[_FOUND],
            f"{errors[_FOUND]:.2%}, {difference}",
            low <= 0,
            which,
        ),
        Row(
            f"{bench.name}: finding the policy, of a study of {_MINUTES:g} minutes",
            f"≤ {_MOST_SHARE:.0%}",
            share,
            f"{share:.1%} ({found.seconds:.0f} s, {found.samples:,} samples)",
            share <= _MOST_SHARE,
            "seed 0",
        ),
    ]
    if bench.name == "mnist":
        policy = _described(found)
        rows.append(Row("mnist: flips in the policy found", "none", len(flips), policy, not flips, "seed 0"))
    return rows


def _find(bench: Bench) -> FoundPolicy:
    """What `augmentation=auto budget.minutes=15` finds; one that was found before is read again."""
    path = bench.laboratory.home / f"found-{bench.laboratory.data.digest}.json"
    if path.exists():
        return FoundPolicy.model_validate_json(path.read_text())
    laboratory, recipe = bench.laboratory, bench.recipe("augmentation=none")
    settings = resolve(["augmentation=auto", f"budget.minutes={_MINUTES}", *bench.overrides])
    candidates, calibration = settings.augmentation.candidates, laboratory.calibrate(recipe)
    seconds = BUDGET_SHARE * training_seconds(configured_wishes(settings), calibration, 0.0, 0.0)
    spend = effort(samples_within(seconds, calibration, most_trials(candidates)), candidates)

    def train(spec: TrialSpec, role: str) -> TrialResult:
        result = laboratory.found(spec) or laboratory.train(spec, lambda progress: None)
        say(f"{bench.name}, {role}: loss {result.steer_loss:.4f} on steer after {result.seconds:.1f} s")
        return result

    found = Finder(laboratory, spend, range(CONTROLS), train).find(recipe, candidates)
    for candidate in found.candidates:
        say(f"{bench.name}, {candidate.name}: {'kept: ' if candidate.kept else ''}{candidate.why}")
    path.write_text(found.model_dump_json(indent=1))
    return found


def _described(found: FoundPolicy) -> str:
    return "; ".join(candidate.name for candidate in found.candidates if candidate.kept) or "nothing"


def _train_all(bench: Bench, found: FoundPolicy, seeds: range, epochs: float) -> dict[str, Trained]:
    recipes = {name: bench.recipe(choice.format(bench.name)) for name, choice in _GIVEN.items()}
    recipes[_FOUND] = recipes["none"].updated(augmentation=found.transforms)
    trained = {}
    for name, recipe in recipes.items():
        trials = [bench.train(name, recipe, seed, epochs) for seed in seeds]
        done = [trial for trial in trials if trial is not None]
        if len(done) < len(trials):
            sys.exit(f"{bench.name}, {name}: a training failed, so that nothing can be compared")
        trained[name] = Trained(recipe, done)
    return trained


def _difference(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    """Of the errors (seeds x images), ours minus theirs: low, mean, high."""
    each = ours.mean(axis=1) - theirs.mean(axis=1)
    mean = float(each.mean())
    if len(each) > 1:
        reach = float(stats.t.ppf(0.975, len(each) - 1) * stats.sem(each))
    else:
        either = int((ours != theirs).sum())  # images that one of them has wrong: a coin each
        reach = 1.96 * either**0.5 / ours.shape[1]
    return mean - reach, mean, mean + reach


if __name__ == "__main__":
    main()
