"""Sets the learning rate before each update."""

from typing import Any, Protocol

import pytorch_lightning as pl

from modules.training.history import History
from modules.training.optimizer import RATE_FACTOR
from modules.training.progress import Progress

REVISION = 2


class Schedule(Protocol):
    """A factor on the learning rate for each moment of a training."""

    def factor(self, progress: Progress) -> float:
        """The factor on the learning rate."""


class LearningRateDecay(pl.Callback):
    """The rate of an update is `learning_rate` times the schedule's factor at the samples and updates done so far."""

    def __init__(self, schedule: Schedule, learning_rate: float, history: History) -> None:
        self.schedule = schedule
        self.learning_rate = learning_rate
        self.history = history
        self.current = learning_rate

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the rate of the update that follows."""
        history = self.history
        self.current = self.learning_rate * self.schedule.factor(history.progress) * history.rate_factor
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.current * group.get(RATE_FACTOR, 1.0)
