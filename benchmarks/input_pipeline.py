"""How much of a training step goes into making its batch? Indexing, conversion to floats, augmentation by default.

    python -m benchmarks.input_pipeline mnist=DIR fashion=DIR             # half a minute on 2 cores
    python -m benchmarks.input_pipeline --full mnist=DIR fashion=DIR      # four times as many updates

Updates of a trial's own Trainer with the default network, batch size and augmentation of each data set. Within them the
batch is timed: choosing its images (a new epoch's order included), and making them. What counts is the median over
blocks of updates of the batches' seconds divided by all seconds.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pytorch_lightning as pl
import torch

from benchmarks.rows import Row, print_rows
from benchmarks.trainings import Bench, add_arguments, opened_benches
from modules.training.batches import TrainingData
from modules.training.spec import TrialSpec

_MOST_SHARE = 0.1
_SEED = 0

Result = TypeVar("Result")


class Stopwatch(pl.Callback):
    """Seconds of blocks of updates, and of the batches within them."""

    def __init__(self, data: TrainingData, updates: int, blocks: int) -> None:
        self.updates = updates
        self.blocks = blocks
        self.seconds: list[float] = []
        self.batch_seconds: list[float] = []
        self._making = 0.0
        self._since = 0.0
        data.next_batch = self._timed(data.next_batch)  # type: ignore[method-assign]
        data.piece = self._timed(data.piece)  # type: ignore[method-assign]

    def _timed(self, function: Callable[..., Result]) -> Callable[..., Result]:
        def timed(*arguments: Any) -> Result:
            start = time.perf_counter()
            result = function(*arguments)
            self._making += time.perf_counter() - start
            return result

        return timed

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """At the border of two blocks, the first of which warms up."""
        if (batch_idx + 1) % self.updates:
            return
        now = time.perf_counter()
        if batch_idx + 1 > self.updates:
            self.seconds.append(now - self._since)
            self.batch_seconds.append(self._making)
        self._since, self._making = now, 0.0
        trainer.should_stop = len(self.seconds) == self.blocks

    @property
    def shares(self) -> list[float]:
        """Of each block, what its batches took."""
        return [making / all_ for making, all_ in zip(self.batch_seconds, self.seconds, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--updates", type=int, default=25, help="of a block")
    parser.add_argument("--blocks", type=int, default=15, help="that count")
    parser.add_argument("--full", dest="blocks", action="store_const", const=60, help="the same as --blocks 60")
    arguments = parser.parse_intermixed_args()
    torch.set_num_threads(arguments.threads)
    with opened_benches(arguments) as benches:
        print_rows([_measure(bench, arguments.updates, arguments.blocks) for bench in benches])


def _measure(bench: Bench, updates: int, blocks: int) -> Row:
    training = bench.training(bench.recipe(), (blocks + 2) * updates, _SEED)
    stopwatch = Stopwatch(training.data, updates, blocks)
    training.run_with([training.decay, training.average, training.growth, stopwatch])
    return _row(bench.name, training.spec, stopwatch)


def _row(name: str, spec: TrialSpec, stopwatch: Stopwatch) -> Row:
    shares = stopwatch.shares
    share, (low, high) = statistics.median(shares), np.percentile(shares, [25, 75])
    batch_ms = 1000 * statistics.median(stopwatch.batch_seconds) / stopwatch.updates
    update_ms = 1000 * statistics.median(stopwatch.seconds) / stopwatch.updates
    policy = ", ".join(part.name.lower() for part in spec.recipe.augmentation) or "nothing"
    return Row(
        figure=f"{name}: share of a training step that making its batch of {spec.recipe.batch_size} takes ({policy})",
        target=f"≤ {_MOST_SHARE:.0%}",
        value=round(share, 5),
        shown=f"{share:.1%} (quartiles {low:.1%} to {high:.1%}): {batch_ms:.2f} of {update_ms:.2f} ms",
        met=share <= _MOST_SHARE,
        seeds=f"seed {spec.seed}, {len(shares)} blocks of {stopwatch.updates} updates",
        details={
            "batch_seconds": [round(each, 5) for each in stopwatch.batch_seconds],
            "seconds": [round(each, 5) for each in stopwatch.seconds],
            "numerics": spec.numerics.model_dump(mode="json"),
        },
    )


if __name__ == "__main__":
    main()
