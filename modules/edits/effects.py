"""What each channel is worth to the loss, to first order (Molchanov et al. 2019, arXiv:1906.10771).

A gate of one in front of every layer multiplies what each channel deviates from its mean; the gradient of the loss with
respect to it is the sum over positions of deviation times gradient: what closing the gate would change, image by image.

Two things differ from the paper, for what `benchmarks/narrowing.py` shows. The mean stays, since an edit that takes a
channel away makes up for it. And labels are smoothed by half: otherwise the images that a trained network is sure of,
nearly all, have hardly a gradient, and the few others decide.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modules.architecture.module import Network
from modules.edits.changes import Array

REVISION = 1

_SMOOTHING = 0.5


def first_order_effects(
    network: Network, images: Tensor, labels: Tensor, smoothing: float = _SMOOTHING, centred: bool = True
) -> dict[str, Array]:
    """By layer: what the loss of each image changes with each of its inputs (N, inputs). In evaluation mode.

    Labels are class numbers (N); without smoothing and centring, this is what the paper measures.
    """
    gates: dict[str, Tensor] = {}
    layers = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    hooks = [layer.register_forward_pre_hook(_gate(name, gates, centred)) for name, layer in layers.items()]
    loss = F.cross_entropy(network(images), labels, reduction="sum", label_smoothing=smoothing)
    for hook in hooks:
        hook.remove()
    gradients = torch.autograd.grad(loss, list(gates.values()))
    return {name: gradient.numpy() for name, gradient in zip(gates, gradients, strict=True)}


def _gate(
    name: str, gates: dict[str, Tensor], centred: bool
) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor]]:
    def multiply(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        (values,) = inputs
        gates[name] = torch.ones(values.shape[:2], requires_grad=True)
        gate = gates[name].view(*values.shape[:2], *[1] * (values.ndim - 2))
        mean = values.detach().mean((0, *range(2, values.ndim)), keepdim=True) if centred else torch.zeros(())
        return ((values - mean) * gate + mean,)

    return multiply
