"""Two ways of doing the same work that take turns in one process, so that both meet the same weather."""

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl


class TakingTurns(pl.Callback):
    """Times blocks of a Trainer's updates, and before each as many turns of something else.

    A block is ended by the border behind it. With `blocks`, the training stops after so many and the one that warms up.
    """

    def __init__(self, other: Callable[[int], None], updates: int, blocks: int | None = None) -> None:
        self.other = other
        self.updates = updates
        self.blocks = blocks
        self.other_seconds: list[float] = []
        self.training_seconds: list[float] = []
        self._since = 0.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """At the border of two blocks: end the Trainer's, have the other take its turn."""
        if batch_idx % self.updates:
            return
        start = time.perf_counter()
        if batch_idx:
            self.training_seconds.append(start - self._since)
        self.other(self.updates)
        self._since = time.perf_counter()
        self.other_seconds.append(self._since - start)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop where enough blocks were timed."""
        if self.blocks is not None:
            trainer.should_stop = len(self.training_seconds) == self.blocks + 1

    def ratios(self) -> list[float]:
        """The Trainer's seconds by the other's, of each block but the first, which warms up."""
        pairs = zip(self.training_seconds[1:], self.other_seconds[1:], strict=False)
        return [training / other for training, other in pairs]
