"""Goes back to the last good state, with half the rate, when the loss explodes."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from modules.errors import TrainingError
from modules.training.callbacks.checkpoints import Checkpoint, Checkpoints
from modules.training.history import History

REVISION = 1


class Retreat(pl.Callback):
    """A loss that is no number, or stays far above that of guessing, sends the training back `most` times at most."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        restore: Callable[[Checkpoint], None],
        history: History,
        most: int,
        learning_rate: float,
    ) -> None:
        self.checkpoints = checkpoints
        self.restore = restore
        self.history = history
        self.most = most
        self.learning_rate = learning_rate

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the losses of the last updates."""
        if has_exploded(self.history, self.checkpoints.hopeless_loss):
            self.go_back(self.history.recent_losses[-1])

    def go_back(self, loss: float) -> None:
        """To the last good state, because of a loss; TrainingError where it went back too often."""
        retreats = self.history.retreats
        if retreats >= self.most:
            rate = self.learning_rate * self.history.rate_factor
            raise TrainingError(
                f"the training diverged: the loss became {loss:.3g} at "
                f"training.learning_rate={self.learning_rate:g}, and still at {rate:g} after going back "
                f"{retreats} times; try a smaller one"
            )
        assert self.checkpoints.latest is not None
        self.restore(self.checkpoints.latest)
        self.history.retreats = retreats + 1


def has_exploded(history: History, limit: float) -> bool:
    """Whether the last loss is no number, or half of those remembered are above the limit: one alone may recover."""
    losses = history.recent_losses
    if not math.isfinite(losses[-1]):
        return True
    return len(losses) == losses.maxlen and history.recent_loss > limit
