"""Can the batch grow instead of the rate falling? The same validation error with a third of the updates, or fewer.

    python -m benchmarks.batch_growth mnist=DIR                 # seed 0, 4 epochs; 5 minutes on 2 cores
    python -m benchmarks.batch_growth --full mnist=DIR          # five seeds, 12 epochs; an hour or more
    python -m benchmarks.batch_growth mnist=DIR selection=random selection.fraction=0.05        # a look

After Smith et al. 2018 (arXiv 1711.00489): what matters is the noise of an update, rate over batch size, so that a
batch five times as large does what a fifth of the rate does. All train on the same samples, from the same weights,
in the same order:

- decaying: the rate falls to a fifth after each quarter of the samples (schedule=step), the batch stays;
- milestones: the batch grows to five times its size at the same moments, the rate stays: 32, 160, 800, 4,000;
- noise scale: the batch follows the gradient's noise scale, measured twice an epoch; the rate stays;
- neither: what is gained by any of them.

With an average of the weights (EMA, which itself takes noise out of them) and without; with momentum, of which the
paper speaks first, or the optimisers that are named. The differences in the error on *steer*, to the decaying rate of
the same seed, come with their 95 % interval (t, paired by seeds). "The same" is: the interval reaches down to none, and
not up to more than --margin.
"""

import argparse
import statistics
from typing import NamedTuple

import numpy as np
from scipy import stats

from benchmarks.rows import Row, print_json, print_rows, print_table
from benchmarks.trainings import Bench, add_arguments, opened_benches
from modules.records import TrialResult

_QUARTERS = 4
_FACTOR = 5  # as in the paper; at three milestones it leaves 31 % of the updates
_FULL_EPOCHS = 12
_FULL_SEEDS = 5
_LEAST_RATIO = 3.0
_MARGIN = 0.002
_LOOKS_AN_EPOCH = 2
_DECAYING = "decaying"
_GROWING = ("milestones", "noise scale")
_AVERAGINGS = ("ema", "none")


class Difference(NamedTuple):
    """Of errors, paired by seeds: the mean and its interval, which one seed does not give."""

    mean: float
    low: float | None = None
    high: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--full", action="store_true", help=f"{_FULL_SEEDS} seeds and {_FULL_EPOCHS} epochs")
    parser.add_argument("--epochs", type=int, help=f"a multiple of {_QUARTERS}")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--batch-size", type=int, default=32, help="the first")
    parser.add_argument("--ratio", type=float, default=1.0, help="of the batch to the noise scale")
    parser.add_argument("--margin", type=float, default=_MARGIN, help="what an interval may reach up to")
    parser.add_argument("--optimizers", nargs="+", default=["momentum"], metavar="NAME")
    arguments = parser.parse_intermixed_args()
    arguments.epochs = arguments.epochs or (_FULL_EPOCHS if arguments.full else _QUARTERS)
    arguments.seeds = arguments.seeds or (_FULL_SEEDS if arguments.full else 1)
    if arguments.epochs % _QUARTERS:
        parser.error(f"--epochs {arguments.epochs} cannot be cut into {_QUARTERS} pieces of whole epochs")
    rows: list[Row] = []
    with opened_benches(arguments) as benches:
        for bench in benches:
            for optimizer in arguments.optimizers:
                for averaging in _AVERAGINGS:
                    rows += _compare(bench, optimizer, averaging, arguments)
    print_rows(rows)


def _arms(arguments: argparse.Namespace) -> dict[str, list[str]]:
    most = arguments.batch_size * _FACTOR ** (_QUARTERS - 1)
    fractions = ",".join(str(quarter / _QUARTERS) for quarter in range(1, _QUARTERS))
    step = ["schedule=step", f"schedule.gamma={1 / _FACTOR}", f"schedule.every_epochs={arguments.epochs // _QUARTERS}"]
    growing = ["batching=milestones", f"batching.fractions=[{fractions}]", f"batching.factor={_FACTOR}.0"]
    following = ["batching=noise_scale", f"batching.ratio={arguments.ratio}"]
    return {
        _DECAYING: step,
        "milestones": ["schedule=constant", *growing, f"batching.max_batch_size={most}"],
        "noise scale": ["schedule=constant", *following, f"batching.max_batch_size={most}"],
        "neither": ["schedule=constant"],
    }


def _compare(bench: Bench, optimizer: str, averaging: str, arguments: argparse.Namespace) -> list[Row]:
    shared = [f"optimizer={optimizer}", f"averaging={averaging}", f"training.batch_size={arguments.batch_size}"]
    results = {
        arm: [_trained(bench, arm, [*shared, *choices], seed, arguments.epochs) for seed in range(arguments.seeds)]
        for arm, choices in _arms(arguments).items()
    }
    what = f"{bench.name}, {arguments.epochs} epochs, {optimizer}, averaging {averaging}"
    lines = []
    for arm, trained in results.items():
        difference = paired_difference(trained, results[_DECAYING])
        lines.append(_line(arm, trained, difference))
        figures = {name: [getattr(each, name) for each in trained] for name in ("steer_error", "steer_loss", "updates")}
        sizes = [point.batch_size for point in trained[0].curve]
        print_json({"compared": what, "arm": arm, **figures, "difference": difference._asdict(), "batch_sizes": sizes})
    columns = ["", "error", "against the decaying rate (points)", "updates", "largest batch", "seconds"]
    print_table(what, columns, lines)
    return [_row(what, arm, results[arm], results[_DECAYING], arguments.margin) for arm in _GROWING]


def _trained(bench: Bench, arm: str, choices: list[str], seed: int, epochs: int) -> TrialResult:
    result = bench.train(f"{arm}: {' '.join(choices)}", bench.recipe(*choices), seed, epochs, _LOOKS_AN_EPOCH * epochs)
    if result is None:
        raise SystemExit(f"{arm}: the loss exploded, so there is nothing to compare; try training.learning_rate=")
    return result


def paired_difference(results: list[TrialResult], others: list[TrialResult]) -> Difference:
    """Of the errors on *steer* of trainings with the same seeds, with Student's interval at 95 %."""
    differences = [one.steer_error - other.steer_error for one, other in zip(results, others, strict=True)]
    mean, count = statistics.fmean(differences), len(differences)
    if count == 1:
        return Difference(mean)
    half = float(stats.t.ppf(0.975, count - 1)) * float(np.std(differences, ddof=1)) / count**0.5
    return Difference(mean, mean - half, mean + half)


def _line(arm: str, results: list[TrialResult], difference: Difference) -> list[str]:
    return [
        arm,
        f"{statistics.fmean(result.steer_error for result in results):.2%}",
        "–" if arm == _DECAYING else _points(difference),
        f"{statistics.fmean(result.updates for result in results):,.0f}",
        f"{max(point.batch_size for result in results for point in result.curve):,}",
        f"{statistics.fmean(result.seconds for result in results):.0f}",
    ]


def _points(difference: Difference) -> str:
    mean, low, high = difference
    if low is None or high is None:
        return f"{100 * mean:+.2f}"
    return f"{100 * mean:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"


def _row(what: str, arm: str, results: list[TrialResult], decaying: list[TrialResult], margin: float) -> Row:
    difference = paired_difference(results, decaying)
    _, low, high = difference
    is_same = low is not None and high is not None and low <= 0 and high <= margin
    ratio = statistics.fmean(one.updates / other.updates for one, other in zip(decaying, results, strict=True))
    return Row(
        figure=f"{what}: growing the batch by {arm} instead of decaying the rate",
        target=f"the same error (interval, up to {100 * margin:+g} points), ≥ {_LEAST_RATIO:g}× fewer updates",
        value=round(ratio, 3),
        shown=f"{ratio:.2f}× fewer updates, error {_points(difference)} points",
        met=ratio >= _LEAST_RATIO and is_same,
        seeds=f"seeds 0 to {len(results) - 1}" if len(results) > 1 else "seed 0, so without an interval",
        details={"difference": difference._asdict(), "updates": [result.updates for result in results]},
    )


if __name__ == "__main__":
    main()
