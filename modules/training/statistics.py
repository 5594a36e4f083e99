"""Normalisation statistics measured anew, for weights that were never trained with (Izmailov et al. 2018)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from modules.architecture.module import Network

REVISION = 2  # 2: a network that keeps its statistics keeps them here as well


def refresh_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set every normalisation's mean and unbiased variance to those of all batches of images taken together.

    While a batch passes, it is normalised by its own statistics, as in training; dropout is off. Nothing else of the
    network changes, nothing that is frozen, and nothing where a network keeps its statistics. Without a batch, nothing
    does.
    """
    networks = [part for part in network.modules() if isinstance(part, Network)]
    fixed = {each for one in networks for each in (one.modules() if one.keeps_statistics else one.frozen_modules())}
    moments = [_Moments(one) for one in network.modules() if _has_statistics(one) and one not in fixed]
    if not moments:
        return
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    hooks = [one.module.register_forward_pre_hook(one.measure) for one in moments]
    try:
        with torch.no_grad():
            for images in batches:
                network(images)
            for one in moments:
                one.write()
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training


def _has_statistics(module: nn.Module) -> bool:
    return isinstance(getattr(module, "running_mean", None), Tensor)


class _Moments:
    """The count, mean and sum of squared deviations of what a normalisation was given, per channel, in float64."""

    def __init__(self, module: nn.Module) -> None:
        self.module: Any = module
        self.count = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self.deviations = torch.zeros((), dtype=torch.float64)

    def measure(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Count what comes in and have it normalised by its own statistics."""
        values = inputs[0].float()
        dims = [0, *range(2, values.ndim)]
        mean = values.mean(dims, keepdim=True)
        variance = (values - mean).square_().mean(dims)  # ten times as fast as var_mean
        self._assign(mean.flatten(), variance)
        # not every accelerator has float64
        self._add(values.numel() // values.shape[1], mean.flatten().cpu().double(), variance.cpu().double())

    def _add(self, count: int, mean: Tensor, variance: Tensor) -> None:
        # the pairwise update of Chan, Golub and LeVeque 1979, which also counts what lies between the batches
        total = self.count + count
        difference = mean - self.mean
        self.mean = self.mean + difference * (count / total)
        self.deviations = self.deviations + count * variance + difference.square() * (self.count * count / total)
        self.count = total

    def write(self) -> None:
        """Have the module keep what was counted."""
        if self.count:
            self._assign(self.mean.float(), (self.deviations / max(1, self.count - 1)).float())

    def _assign(self, mean: Tensor, variance: Tensor) -> None:
        self.module.running_mean.copy_(mean)
        self.module.running_var.copy_(variance)
