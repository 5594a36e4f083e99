"""What an edit did to a network before any training, measured: the promise of an exact edit, the cost of the others."""

import math

import torch
from torch import Tensor, nn

from modules.architecture.module import Network
from modules.edits.edit import EditKind
from modules.errors import CertificateError, EditError
from modules.records import Certificate

REVISION = 1

TOLERANCE = 1e-4  # of max |difference| relative to the standard deviation of the logits, in fp32


def certify(kind: EditKind, before: Network, after: Network, images: Tensor) -> Certificate:
    """Compare two networks on images (N, C, H, W); CertificateError where a promise does not hold."""
    check_cost(after)
    change = logit_change(before, after, images)
    if not math.isfinite(change):
        raise CertificateError(f"after an edit the logits are no longer finite numbers: they changed by {change}")
    tolerance = TOLERANCE if kind == "exact" else None
    if tolerance is not None and change > tolerance:
        raise CertificateError(
            f"an exact edit changed the logits by {change:.2g} of their standard deviation; "
            f"at most {tolerance:g} is allowed"
        )
    return Certificate(
        kind=kind,
        max_logit_change=change,
        tolerance=tolerance,
        params_before=before.architecture.params,
        params_after=after.architecture.params,
        flops_before=before.architecture.flops,
        flops_after=after.architecture.flops,
    )


def logit_change(before: Network, after: Network, images: Tensor) -> float:
    """max |difference of the logits| in evaluation mode, relative to the standard deviation of those before."""
    old, new = _logits(before, images), _logits(after, images)
    scale = float(old.std()) or 1.0
    return float((new - old).abs().max()) / scale


def check_cost(network: Network) -> None:
    """EditError where the network has other parameters, or does other matrix products, than its architecture says."""
    architecture = network.architecture
    params = sum(parameter.numel() for parameter in network.parameters())
    if params != architecture.params:
        raise EditError(f"the architecture claims {architecture.params} parameters, the network has {params}")
    flops = _product_flops(network)
    if flops != architecture.product_flops:
        raise EditError(
            f"the architecture claims {architecture.product_flops} operations in products, there are {flops}"
        )


def _product_flops(network: Network) -> int:
    """Operations of the convolutions and dense layers as they are run, one image, forward."""
    counts: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d | nn.Linear)
        counts.append(2 * module.weight[0].numel() * output.numel())

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    _logits(network, torch.zeros(1, *network.architecture.image_shape))
    for hook in hooks:
        hook.remove()
    return sum(counts)


def _logits(network: Network, images: Tensor) -> Tensor:
    was_training = network.training
    network.eval()
    with torch.no_grad():
        logits: Tensor = network(images)
    network.train(was_training)
    return logits.double()
