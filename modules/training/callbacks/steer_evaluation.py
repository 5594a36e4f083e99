"""Looks at *steer* at the end of each (Lightning) epoch, which is the distance between two looks."""

import copy
import time
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from torch import Tensor, nn

from modules.data.arrays import Arrays
from modules.evaluation.observing import observe
from modules.evaluation.outputs import Outputs
from modules.records import CurvePoint
from modules.training.callbacks.learning_rate_decay import LearningRateDecay
from modules.training.module import TrialModule
from modules.workers.jobs import Report

_SECONDS_BETWEEN_REPORTS = 0.5


class SteerEvaluation(pl.Callback):
    """Observes the averaged network on *steer*, draws the curve, reports progress and keeps the best look."""

    def __init__(
        self,
        average: nn.Module,
        arrays: Arrays,
        indices: NDArray[np.int64],
        decay: LearningRateDecay,
        keep_best: bool,
        report: Report,
    ) -> None:
        self.average = average
        self.arrays = arrays
        self.indices = indices
        self.decay = decay
        self.keep_best = keep_best
        self.report = report
        self.curve: list[CurvePoint] = []
        self.outputs: Outputs | None = None
        self.best: dict[str, Tensor] | None = None
        self._best_loss = float("inf")
        self._started = time.monotonic()
        self._reported = self._started

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say twice a second how far the training is."""
        now = time.monotonic()
        if now - self._reported > _SECONDS_BETWEEN_REPORTS:
            assert isinstance(pl_module, TrialModule)
            self._reported = now
            self.report({"samples": pl_module.samples, "total_samples": pl_module.total_samples})

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look, and let early stopping know."""
        assert isinstance(pl_module, TrialModule)
        outputs = observe(self.average, self.arrays.images, self.arrays.labels, self.indices)
        point = CurvePoint(
            samples=pl_module.samples,
            epoch=trainer.current_epoch + 1,
            learning_rate=self.decay.current,
            batch_size=trainer.datamodule.batch_size,  # type: ignore[attr-defined]
            train_loss=pl_module.take_mean_loss(),
            steer_loss=outputs.loss,
            steer_error=outputs.error,
            seconds=time.monotonic() - self._started,
        )
        self.curve.append(point)
        self.report({**point.model_dump(), "total_samples": pl_module.total_samples})
        pl_module.log("steer/loss", outputs.loss)
        if self.outputs is None or not self.keep_best or outputs.loss < self._best_loss:
            self._best_loss, self.outputs = outputs.loss, outputs
            if self.keep_best:
                self.best = copy.deepcopy(self.average.state_dict())
