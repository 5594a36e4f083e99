"""The exponential moving average of the weights, which is what is judged and shipped."""

import copy
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from modules.training.module import TrialModule

REVISION = 1

_WARMUP = 8  # the half-life is never longer than this fraction of the samples seen, so that the start is forgotten


class WeightAverage(pl.Callback):
    """Averages parameters and normalisation statistics with a half-life in samples; 0 keeps the weights themselves."""

    def __init__(self, network: nn.Module, half_life_samples: int) -> None:
        self.network = copy.deepcopy(network) if half_life_samples else network
        self.network.requires_grad_(half_life_samples == 0)
        self.half_life_samples = half_life_samples
        self._pairs = _floating_pairs(self.network, network) if half_life_samples else ([], [])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average towards the weights."""
        if not self.half_life_samples:
            return
        assert isinstance(pl_module, TrialModule)
        # callbacks run before the module counts the batch
        num_samples = len(batch[1])
        seen = pl_module.first_sample + pl_module.samples + num_samples
        half_life = max(num_samples, min(self.half_life_samples, seen / _WARMUP))
        averages, weights = self._pairs
        with torch.no_grad():
            torch._foreach_lerp_(averages, weights, 1.0 - 0.5 ** (num_samples / half_life))


def _floating_pairs(average: nn.Module, network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    ours, theirs = average.state_dict(), network.state_dict()
    names = [name for name, tensor in ours.items() if tensor.is_floating_point()]
    return [ours[name] for name in names], [theirs[name] for name in names]
