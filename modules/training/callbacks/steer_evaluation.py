"""Looks at *steer* now and then: the curve of a training, and what its schedules and its stopping go by."""

import copy
import math
import statistics
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from modules.data.arrays import Arrays
from modules.evaluation.observing import observe
from modules.evaluation.outputs import Outputs
from modules.records import CurvePoint
from modules.training.batches import Piece, TrainingData
from modules.training.callbacks.learning_rate_decay import LearningRateDecay
from modules.training.callbacks.retreat import Retreat
from modules.training.callbacks.weight_average import WeightAverage
from modules.training.history import History
from modules.training.module import TrialModule
from modules.training.noise_scale import gradient_noise_scale
from modules.workers.jobs import Report

REVISION = 2  # 2: a loss on *steer* that is no number sends the training back

_SECONDS_BETWEEN_REPORTS = 0.5
_PROBES = 16  # batches of which the gradient's noise is estimated
_PROBE_IMAGES = 64  # in each


class SteerEvaluation(pl.Callback):
    """Observes the averaged network, draws the curve, reports progress and keeps the weights of the best look."""

    def __init__(
        self,
        *,
        average: WeightAverage,
        data: TrainingData,
        decay: LearningRateDecay,
        retreat: Retreat,
        history: History,
        looks: int,
        keep_best: bool,
        measure_noise: bool,
        report: Report,
    ) -> None:
        self.average = average
        self.arrays: Arrays = data.arrays
        self.indices: NDArray[np.int64] = data.arrays.indices("steer")
        self.data = data
        self.decay = decay
        self.retreat = retreat
        self.history = history
        self.looks = looks
        self.keep_best = keep_best
        self.measure_noise = measure_noise
        self.report = report
        self.outputs: Outputs | None = None
        self.best: dict[str, Tensor] | None = None
        self._reported = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look where a look is due; else say twice a second how far the training is."""
        assert isinstance(pl_module, TrialModule)
        history = self.history
        last = history.curve[-1].samples if history.curve else 0
        if self._looks_by(history.samples) > self._looks_by(last):
            self._look(trainer, pl_module)
        elif time.monotonic() - self._reported > _SECONDS_BETWEEN_REPORTS:
            self._say({"samples": history.samples, "epoch": history.progress.epochs, "train_loss": history.recent_loss})

    def _looks_by(self, samples: int) -> int:
        return min(self.looks, samples * self.looks // self.history.total_samples)

    def _look(self, trainer: pl.Trainer, module: TrialModule) -> None:
        history = self.history
        # The first process looks; all that train together have its figures, so that they decide alike.
        seen = self._figures(trainer.optimizers[0], module) if self.data.rank == 0 else _Figures()
        loss, error, noise = _Figures(*_broadcast(seen, module.device)) if self.data.world_size > 1 else seen
        if not math.isfinite(loss):
            self.retreat.go_back(loss)
            return
        point = CurvePoint(
            samples=history.samples,
            epoch=history.progress.epochs,
            learning_rate=self.decay.current,
            batch_size=self.data.batch_size,
            train_loss=statistics.fmean(history.losses_since_look),
            steer_loss=loss,
            steer_error=error,
            seconds=history.seconds,
            noise_scale=noise or None,
        )
        history.look(point)
        self._say(point.model_dump())
        if self.keep_best and history.best_look == len(history.curve) - 1:
            self.best = copy.deepcopy(self.average.network.state_dict())

    def _figures(self, optimizer: torch.optim.Optimizer, module: TrialModule) -> "_Figures":
        self.average.prepare(optimizer)
        outputs = self.observe()
        noise_scale = self._noise_scale(module) if self.measure_noise else None
        return _Figures(outputs.loss, outputs.error, noise_scale or 0.0)

    def observe(self) -> Outputs:
        """Run the averaged network, as it is now, over *steer*."""
        self.outputs = observe(self.average.network, self.arrays.images, self.arrays.labels, self.indices)
        return self.outputs

    def _noise_scale(self, module: TrialModule) -> float | None:
        return gradient_noise_scale(module.network, self._probes(), module.loss)

    def _probes(self) -> Iterator[Piece]:
        for probe in range(_PROBES):
            yield from self.data.upcoming(_PROBE_IMAGES, skip=probe * _PROBE_IMAGES)

    def _say(self, news: dict[str, Any]) -> None:
        self._reported = time.monotonic()
        if self.data.rank == 0:
            history = self.history
            self.report({**news, "total_samples": history.total_samples, "retreats": history.retreats})


class _Figures(NamedTuple):
    loss: float = 0.0
    error: float = 0.0
    noise_scale: float = 0.0  # 0: there is none


def _broadcast(figures: _Figures, device: torch.device) -> list[float]:
    """Those of the first process."""
    shared = torch.tensor(figures, dtype=torch.float64, device=device)
    torch.distributed.broadcast(shared, src=0)
    return [float(figure) for figure in shared]
