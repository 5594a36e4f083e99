"""Dropout as a recipe asks for it: at another rate than the architecture's, or where the architecture has none."""

from typing import Any

from torch import nn
from torch.nn import functional as F

REVISION = 1


def set_dropout(network: nn.Module, rate: float | None) -> None:
    """Drop at this rate wherever the network drops, or before its last dense layer; None leaves it as it is.

    It has no weights and does nothing outside training: what is evaluated, edited and exported stays the same.
    """
    if rate is None:
        return
    layers = [module for module in network.modules() if isinstance(module, nn.Dropout)]
    for layer in layers:
        layer.p = rate
    if not layers:
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        last.register_forward_pre_hook(_Dropping(rate))


class _Dropping:
    """A hook that can be copied with its network."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (F.dropout(inputs[0], self.rate, module.training), *inputs[1:])
