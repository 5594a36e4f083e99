"""How many operations does a training need for a given validation error? Ours by default against a plain one.

    python -m benchmarks.frugality mnist=DIR                      # one seed, up to 4 epochs; 5 minutes on 2 cores
    python -m benchmarks.frugality --full mnist=DIR fashion=DIR   # three seeds, up to 16 epochs; an hour or two
    python -m benchmarks.frugality --target-error 0.008 --full mnist=DIR

- default: what `espalier run search=none` does, range test included, whose operations count;
- plain: the same network on the same augmented images by AdamW with a cosine, without an average of the weights, at
  each of --plain-rates; what counts is the better one.

Both are trained to several lengths, each with a schedule of its own length. Where the mean error on *steer* (over the
seeds, never higher than that of a shorter training) reaches the target lies between two lengths, on a straight line
over the logarithm of operations. The target is --target-error, or else what the longest plain training ends with.
Operations are counted: three times the forward pass for each image that is trained on.
"""

import argparse
import math
import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from benchmarks.rows import Row, print_json, print_rows, print_table
from benchmarks.trainings import Bench, add_arguments, opened_benches
from modules.recipe import Recipe

_MOST_SHARE = 0.5
_FORWARD_AND_BACKWARD = 3
_EPOCHS = (1, 2, 4)
_FULL_EPOCHS = (1, 2, 4, 8, 16)
_FULL_SEEDS = 3
_PLAIN = ("optimizer=adamw", "schedule=cosine", "averaging=none")
_PLAIN_RATES = (0.001, 0.01)  # what libraries take, and what is our default


class Length(NamedTuple):
    """Trainings of one length, a seed each: their mean operations and errors."""

    epochs: float
    flops: float
    errors: list[float]  # infinite where a loss exploded

    @property
    def error(self) -> float:
        """The mean over the seeds."""
        return statistics.fmean(self.errors)

    def to_json(self) -> dict[str, object]:
        """Null for a loss that exploded."""
        return {**self._asdict(), "errors": [error if math.isfinite(error) else None for error in self.errors]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--full", action="store_true", help=f"{_FULL_SEEDS} seeds, lengths of {_FULL_EPOCHS} epochs")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--epochs", type=float, nargs="+", help="the lengths")
    parser.add_argument("--target-error", type=float, help="on steer, a fraction of 1")
    parser.add_argument("--ours", nargs="+", default=[], metavar="OVERRIDE", help="for ours alone: optimizer=muon")
    parser.add_argument("--plain-rates", type=float, nargs="+", default=list(_PLAIN_RATES))
    arguments = parser.parse_intermixed_args()
    arguments.seeds = arguments.seeds or (_FULL_SEEDS if arguments.full else 1)
    arguments.epochs = sorted(arguments.epochs or (_FULL_EPOCHS if arguments.full else _EPOCHS))
    with opened_benches(arguments) as benches:
        print_rows([_compare(bench, arguments) for bench in benches])


def _compare(bench: Bench, arguments: argparse.Namespace) -> Row:
    default = _default(bench, arguments)
    plain = {rate: _plain(bench, rate, arguments) for rate in arguments.plain_rates}
    target = arguments.target_error or min(lengths[-1].error for lengths in plain.values())
    arms = {
        " ".join(["default", *arguments.ours]): default,
        **{f"plain, rate {rate:g}": lengths for rate, lengths in plain.items()},
    }
    _print_arms(bench, arms, target, arguments)
    rate = min(plain, key=lambda rate: flops_to(target, plain[rate]))
    return _row(bench, target, default, plain[rate], rate, arguments)


def _default(bench: Bench, arguments: argparse.Namespace) -> list[Length]:
    recipe = bench.recipe(*arguments.ours)
    tests = [bench.range_test(recipe, seed) for seed in range(arguments.seeds)]
    tuned = [recipe.updated(learning_rate=test.picked) for test in tests]
    spent = statistics.fmean(len(test.rates) * recipe.batch_size for test in tests)
    return [_length(bench, "default", tuned, epochs, spent) for epochs in arguments.epochs]


def _plain(bench: Bench, rate: float, arguments: argparse.Namespace) -> list[Length]:
    recipes = [bench.recipe(*_PLAIN).updated(learning_rate=rate)] * arguments.seeds
    return [_length(bench, f"plain, rate {rate:g}", recipes, epochs, 0.0) for epochs in arguments.epochs]


def _length(bench: Bench, what: str, recipes: Sequence[Recipe], epochs: float, samples_before: float) -> Length:
    """One training for each seed's recipe."""
    results = [bench.train(what, recipe, seed, epochs) for seed, recipe in enumerate(recipes)]
    samples = statistics.fmean(result.samples if result else epochs * bench.num_train(recipes[0]) for result in results)
    flops = _FORWARD_AND_BACKWARD * recipes[0].architecture.flops * (samples + samples_before)
    return Length(epochs, flops, [result.steer_error if result else math.inf for result in results])


def flops_to(target: float, lengths: Sequence[Length]) -> float:
    """The operations with which the error first reaches the target; infinite where it never does."""
    errors = [min(length.error for length in lengths[: index + 1]) for index in range(len(lengths))]
    if errors[0] <= target:
        return lengths[0].flops
    for (before, high), (after, low) in pairwise(zip(lengths, errors, strict=True)):
        if low <= target:
            way = (high - target) / (high - low) if math.isfinite(high) else 1.0
            return float(before.flops * (after.flops / before.flops) ** way)
    return math.inf


def _print_arms(bench: Bench, arms: dict[str, list[Length]], target: float, arguments: argparse.Namespace) -> None:
    lines = []
    for arm, lengths in arms.items():
        print_json({"data": bench.name, "arm": arm, "lengths": [length.to_json() for length in lengths]})
        lines.append([arm, *(f"{length.error:.2%} ({length.flops / 1e12:.2f})" for length in lengths)])
        lines[-1].append(_teraflops(flops_to(target, lengths)))
    columns = ["", *(f"{epochs:g} epochs" for epochs in arguments.epochs), f"TFLOP to {target:.2%}"]
    print_table(f"{bench.name}: mean error on *steer* (and TFLOP), {arguments.seeds} seeds", columns, lines)


def _teraflops(flops: float) -> str:
    return f"{flops / 1e12:.2f}" if math.isfinite(flops) else "not reached"


def _row(
    bench: Bench, target: float, default: list[Length], plain: list[Length], rate: float, arguments: argparse.Namespace
) -> Row:
    num_seeds, ours_said = arguments.seeds, "".join(f", {override}" for override in arguments.ours)
    ours, theirs = flops_to(target, default), flops_to(target, plain)
    # Who never reaches the target would need more than for the longest training.
    share = min(ours, default[-1].flops) / min(theirs, plain[-1].flops)
    bound = ("> " if math.isinf(ours) else "") + ("< " if math.isinf(theirs) else "")
    return Row(
        figure=f"{bench.name}{ours_said}: operations to {target:.2%} validation error, of a plain training's",
        target=f"≤ {_MOST_SHARE:.0%}",
        value=round(share, 4),
        shown=f"{bound}{share:.0%} ({_teraflops(ours)} against {_teraflops(theirs)} TFLOP of plain at rate {rate:g})",
        met=math.isfinite(ours) and share <= _MOST_SHARE,
        seeds=f"seeds 0 to {num_seeds - 1}" if num_seeds > 1 else "seed 0",
        details={"target_error": target, "reached": math.isfinite(ours), "reached_by_plain": math.isfinite(theirs)},
    )


if __name__ == "__main__":
    main()
