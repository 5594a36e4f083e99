"""A network for the fewest parameters: one convolution, then depthwise-separable ones and pools.

A depthwise and a pointwise convolution with nothing but a normalisation between them (Chollet 2017, arXiv:1610.02357)
need about a ninth of the weights of a full one. Under `objective.max_params` what is saved buys depth and channels.
"""

from itertools import chain, repeat

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import Conv, MaxPool, Node, Norm, Standardise
from modules.architecture.stages import append_activation, append_layer, classified, scaled, stem

_FIRST_CHANNELS = 64
_STAGES = ((96,), (96, 128), (128, 128))  # channels of the layers of each; the last is repeated on large images
_LARGE_SIDE = 64  # smaller images keep all their pixels in the first stage
_LAST_SIDE = 8  # no further stage once the planes are this small; smaller ones are not halved


def separable_architecture(
    image_shape: tuple[int, int, int],
    num_classes: int,
    num_images: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    width: float | None = None,
) -> Architecture:
    """The network for images of `image_shape` (channels, height, width); `width` is a factor on all channels."""
    width = 1.0 if width is None else width
    nodes: list[Node] = [Standardise(name="standardise1", inputs=(IMAGE,), mean=mean, std=std)]
    side = min(image_shape[1:])
    kernel, stride = stem(side) if side >= _LARGE_SIDE else (3, 1)
    append_layer(nodes, scaled(_FIRST_CHANNELS, width), kernel, stride)
    side, before = side // stride, _FIRST_CHANNELS
    for number, stage in enumerate(chain(_STAGES, repeat(_STAGES[-1]))):
        if number >= len(_STAGES) and side <= _LAST_SIDE:
            break
        if number > 0 and side >= _LAST_SIDE:
            nodes.append(MaxPool(name=f"pool{number}", inputs=(nodes[-1].name,), kernel=2, stride=2))
            side //= 2
        for channels in stage:
            _append_separable(nodes, scaled(before, width), scaled(channels, width))
            before = channels
    return classified(nodes, image_shape, num_classes)


def _append_separable(nodes: list[Node], before: int, channels: int) -> None:
    """A depthwise convolution of the `before` channels, a pointwise one to `channels`, a ReLU."""
    number = 1 + sum(isinstance(node, Conv) for node in nodes)
    depthwise, pointwise = f"conv{number}", f"conv{number + 1}"
    source = nodes[-1].name
    nodes += [
        Conv(name=depthwise, inputs=(source,), channels=before, kernel=3, padding=1, groups=before, bias=False),
        Norm(name=f"norm{number}", inputs=(depthwise,)),
        Conv(name=pointwise, inputs=(f"norm{number}",), channels=channels, kernel=1, bias=False),
        Norm(name=f"norm{number + 1}", inputs=(pointwise,)),
    ]
    append_activation(nodes)
