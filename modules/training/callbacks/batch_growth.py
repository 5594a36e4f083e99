"""Sets the batch size of the next update."""

from typing import Any, ClassVar, Protocol

import pytorch_lightning as pl

from modules.training.batches import TrainingData
from modules.training.history import History
from modules.training.progress import Progress

REVISION = 1


class Batching(Protocol):
    """A batch size for each moment of a training."""

    grows: ClassVar[bool]  # if so, the next slice goes on from the progress that this one ends with
    needs_noise_scale: ClassVar[bool]

    def batch_size(self, first: int, progress: Progress) -> int:
        """The next batch size of a lineage that began with `first`."""


class BatchGrowth(pl.Callback):
    """The size of a batch follows from the samples, updates and looks so far; never more than an epoch.

    Those of this training and of all that it goes on from, which had come as far as `before`.
    """

    def __init__(self, batching: Batching, first: int, data: TrainingData, history: History, before: Progress) -> None:
        self.batching = batching
        self.first = first
        self.data = data
        self.history = history
        self.before = before

    @property
    def progress(self) -> Progress:
        """Of the lineage."""
        return self.history.progress.following(self.before)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Also a training that goes on begins with the size it has reached."""
        self._set()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Before the next batch is taken."""
        self._set()

    def _set(self) -> None:
        size = self.batching.batch_size(self.first, self.progress)
        self.data.batch_size = min(size, self.history.epoch_samples)
