"""What each channel is worth to the loss, to first order (Molchanov et al. 2019, arXiv:1906.10771).

A gate of one in front of every layer multiplies what each channel deviates from its mean; the gradient of the loss with
respect to it is the sum over positions of deviation times gradient: what closing the gate would change, image by image.

Two things differ from the paper, for what `benchmarks/narrowing.py` shows. The mean stays, since an edit that takes a
channel away makes up for it. And labels are smoothed by half: otherwise the images that a trained network is sure of,
nearly all, have hardly a gradient, and the few others decide.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modules.architecture.module import Network
from modules.architecture.nodes import num_elements
from modules.edits.changes import Array

REVISION = 2  # 2: of large networks fewer images at once

_SMOOTHING = 0.5
_MOST_VALUES = 128_000_000  # of all nodes at once: 512 MB, and gradients and gates twice as much

MeanOf = Callable[[str, Tensor], Tensor]  # by a layer's name and its inputs


def first_order_effects(
    network: Network,
    images: Tensor,
    labels: Tensor,
    smoothing: float = _SMOOTHING,
    centred: bool = True,
    most_values: int = _MOST_VALUES,
) -> dict[str, Array]:
    """By layer: what the loss of each image changes with each of its inputs (N, inputs). In evaluation mode.

    Labels are class numbers (N); without smoothing and centring, this is what the paper measures. Images are taken in
    pieces whose nodes have at most `most_values` values: nothing but the means is of all images together.
    """
    size = max(1, most_values // sum(map(num_elements, network.architecture.shapes().values())))
    pieces = images.split(size)
    mean_of = _mean_of(network, pieces) if centred else _no_mean
    effects = [_effects(network, *piece, smoothing, mean_of) for piece in zip(pieces, labels.split(size), strict=True)]
    return {name: np.concatenate([each[name] for each in effects]) for name in effects[0]}


def _effects(network: Network, images: Tensor, labels: Tensor, smoothing: float, mean_of: MeanOf) -> dict[str, Array]:
    gates: dict[str, Tensor] = {}

    def gated(name: str, values: Tensor) -> Tensor:
        gates[name] = torch.ones(values.shape[:2], requires_grad=True)
        gate = gates[name].view(*values.shape[:2], *[1] * (values.ndim - 2))
        mean = mean_of(name, values)
        return (values - mean) * gate + mean

    logits = _passed(network, images, gated)
    loss = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
    gradients = torch.autograd.grad(loss, list(gates.values()))
    return {name: gradient.numpy() for name, gradient in zip(gates, gradients, strict=True)}


def _mean_of(network: Network, pieces: Sequence[Tensor]) -> MeanOf:
    """The means of what each layer gets, by channel: of several pieces taken together, which have to pass before."""
    if len(pieces) == 1:
        return lambda name, values: _mean(values.detach())
    sums: dict[str, Tensor] = {}

    def added(name: str, values: Tensor) -> Tensor:
        sums[name] = sums.get(name, 0) + len(values) * _mean(values.double())
        return values

    with torch.no_grad():
        for images in pieces:
            _passed(network, images, added)
    count = sum(map(len, pieces))
    return lambda name, values: (sums[name] / count).to(values.dtype)


def _no_mean(name: str, values: Tensor) -> Tensor:
    return torch.zeros(())


def _mean(values: Tensor) -> Tensor:
    return values.mean((0, *range(2, values.ndim)), keepdim=True)


def _passed(network: Network, images: Tensor, change: Callable[[str, Tensor], Tensor]) -> Tensor:
    """The logits, where every layer gets what `change` makes of its inputs."""
    with ExitStack() as hooks:
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                hook = module.register_forward_pre_hook(lambda _, inputs, name=name: (change(name, *inputs),))
                hooks.callback(hook.remove)
        logits: Tensor = network(images)
    return logits
