"""The average of the weights, which is what is judged and shipped."""

import copy
from collections.abc import Iterator
from typing import Any, ClassVar, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from modules.training.batches import Batch, TrainingData
from modules.training.features import whole
from modules.training.history import History
from modules.training.progress import Progress
from modules.training.statistics import refresh_statistics

REVISION = 2

_STATISTICS_PIECES = 8
_STATISTICS_IMAGES = 256  # a piece


class Averaging(Protocol):
    """How far the average moves towards the weights after each update."""

    refreshes_statistics: ClassVar[bool]

    def weight(self, num_samples: int, seen: int, progress: Progress) -> float:
        """1: it becomes them; 0: it stays. `seen`: samples of the whole stream so far."""


class WeightAverage(pl.Callback):
    """Averages parameters and normalisation statistics; some optimisers keep an average of their own instead."""

    def __init__(
        self, network: nn.Module, averaging: Averaging, data: TrainingData, history: History, first_sample: int
    ) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.averaging = averaging
        self.data = data
        self.history = history
        self.first_sample = first_sample
        self._trained = network
        self._pairs = _floating_pairs(self.network, network)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The average lives where the network does."""
        self.network.to(pl_module.device)
        self._pairs = _floating_pairs(self.network, self._trained)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average towards the weights."""
        assert isinstance(batch, Batch)
        seen = self.first_sample + self.history.samples
        weight = self.averaging.weight(batch.size, seen, self.history.progress)
        averages, weights = self._pairs
        with torch.no_grad():
            if weight == 1.0:
                torch._foreach_copy_(averages, weights)
            elif weight > 0.0:
                torch._foreach_lerp_(averages, weights, weight)

    def prepare(self, optimizer: torch.optim.Optimizer) -> None:
        """Have the network ready to be looked at."""
        averaged = getattr(optimizer, "averaged", None)
        if averaged is not None:
            with torch.no_grad():
                for ours, theirs in zip(self.network.parameters(), self._trained.parameters(), strict=True):
                    ours.copy_(averaged(theirs))
        if averaged is not None or self.averaging.refreshes_statistics:
            refresh_statistics(self.network, self._upcoming_images(next(self.network.parameters()).device))

    def _upcoming_images(self, device: torch.device) -> Iterator[Tensor]:
        for piece in range(_STATISTICS_PIECES):
            for images, _ in self.data.upcoming(_STATISTICS_IMAGES, skip=piece * _STATISTICS_IMAGES):
                yield images.to(device)


def _floating_pairs(average: nn.Module, network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    ours, theirs = whole(average).state_dict(), whole(network).state_dict()
    trained = [name for name in ours if name.partition(".")[0] not in whole(network).frozen]
    names = [name for name in trained if ours[name].is_floating_point()]
    return [ours[name] for name in names], [theirs[name] for name in names]
