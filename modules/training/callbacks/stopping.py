"""Ends a training when its samples are used up or its looks at *steer* say that it may."""

from typing import Any

import pytorch_lightning as pl

from modules.training.history import History
from modules.training.spec import Slice


class Stopping(pl.Callback):
    """Whichever comes first: the samples, the target loss, the target error, or patience running out."""

    def __init__(self, piece: Slice, history: History, pauses: bool = False) -> None:
        self.piece = piece
        self.history = history
        self.pauses = pauses  # at the first look, to be gone on with or not
        self.reason: str | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop where there is a reason."""
        self.reason = why_stop(self.piece, self.history)
        trainer.should_stop = self.reason is not None or (self.pauses and len(self.history.curve) > 0)


def why_stop(piece: Slice, history: History) -> str | None:
    """A name for the reason to stop now; targets and patience count at looks only."""
    curve = history.curve
    if curve and curve[-1].samples == history.samples:
        if piece.target_loss is not None and curve[-1].steer_loss <= piece.target_loss:
            return "target loss"
        if piece.target_error is not None and curve[-1].steer_error <= piece.target_error:
            return "target error"
        if piece.patience is not None and len(curve) - 1 - history.best_look >= piece.patience:
            return "patience"
    return "samples" if history.samples >= piece.samples else None
