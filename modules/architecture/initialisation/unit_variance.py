"""Scaling the weights of a network, layer by layer, until what comes out of each has unit variance."""

import copy

import torch
from torch import Tensor, nn

REVISION = 1

_RESOLUTION = torch.finfo(torch.float32).eps


def scale_weights(network: nn.Module, images: Tensor, tolerance: float, max_tries: int) -> None:
    """Scale the weights of convolutions and dense layers by one pass of images (N, C, H, W).

    In it normalisations use the images' own statistics, of which they keep nothing, and dropout is off. A layer whose
    outputs hardly differ is left alone: no factor would help it.
    """

    def scale(layer: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> Tensor:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        for _ in range(max_tries):
            variance = outputs.var(correction=0)
            if (variance - 1).abs() <= tolerance or variance <= _RESOLUTION * outputs.square().mean():
                break
            layer.weight.div_(variance.sqrt())
            outputs = layer.forward(*inputs)
        return outputs  # which the layers after it see

    scaled = copy.deepcopy(network)
    for module in scaled.modules():
        module.training = hasattr(module, "running_mean")
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(scale)
    with torch.no_grad():
        scaled(images)
        for ours, theirs in zip(network.parameters(), scaled.parameters(), strict=True):
            ours.copy_(theirs)
