"""Weights for a first convolution from the statistics of the patches that it sees."""

import torch
from torch import Tensor, nn

REVISION = 1


def whiten_first_convolution(network: nn.Module, images: Tensor, eps: float) -> None:
    """Give the first convolution the scaled principal directions of its patches, then their opposites.

    `images` (N, C, H, W) are those the network sees. Channels beyond twice the directions keep what they have, and so
    do all of a grouped convolution, whose channels see different patches.
    """
    layer = next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)
    if layer is None or layer.groups != 1:
        return
    directions = whitening_directions(_patches(network, layer, images), eps)
    both = torch.cat([directions, -directions])[: layer.out_channels]
    with torch.no_grad():
        layer.weight[: len(both)] = both.reshape(-1, *layer.weight.shape[1:]).to(layer.weight.dtype)
        if layer.bias is not None:
            layer.bias.zero_()


def whitening_directions(patches: Tensor, eps: float) -> Tensor:
    """Rows that take patches (M, D) to uncorrelated features of variance 1, the largest variance first (float64).

    Of the two signs of a direction the one is taken in which its largest entry is positive, whatever the library gives.
    """
    patches = patches.double()
    variances, vectors = torch.linalg.eigh(torch.cov(patches.T).reshape(patches.shape[1], -1))
    largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    scaled = vectors * largest.sign() / (variances.clamp_min(0) + eps).sqrt()
    return scaled.T.flip(0)


def _patches(network: nn.Module, layer: nn.Conv2d, images: Tensor) -> Tensor:
    """What the layer's window sees (M, D), without its padding."""
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda module, inputs, outputs: seen.append(inputs[0]))
    training = network.training
    network.eval()
    with torch.no_grad():
        network(images)
    network.train(training)
    hook.remove()
    columns = nn.functional.unfold(seen[0].float(), layer.kernel_size, stride=layer.stride)
    return columns.transpose(1, 2).flatten(0, 1)
