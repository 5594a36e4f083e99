"""A plain network for colour images: a convolution of 2 x 2 pixels, then stages of two convolutions and a pool.

The shape that reaches 94 % on CIFAR-10 for the fewest operations (Jordan 2024, arXiv:2404.00498): wide, shallow, GELU,
the pool of each stage before its second convolution. `initialisation=whitening` starts the first layer as the paper.
"""

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import Activation, Conv, MaxPool, Node, Norm, Standardise
from modules.architecture.stages import classified, scaled

_FIRST_KERNEL = 2
_STAGE_CHANNELS = (64, 256, 256)
_SMALLEST_SIDE = 4  # no further stage once the planes are smaller


def vgg_architecture(
    image_shape: tuple[int, int, int],
    num_classes: int,
    num_images: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    width: float | None = None,
) -> Architecture:
    """The network for images of `image_shape` (channels, height, width); `width` is a factor on the channels."""
    width = 1.0 if width is None else width
    nodes: list[Node] = [Standardise(name="standardise1", inputs=(IMAGE,), mean=mean, std=std)]
    side = min(image_shape[1:])
    kernel = min(_FIRST_KERNEL, side)
    first = 2 * image_shape[0] * kernel**2  # each direction of a patch, and its opposite
    nodes.append(Conv(name="conv1", inputs=(nodes[-1].name,), channels=first, kernel=kernel))
    _append_activation(nodes)
    side += 1 - kernel
    for number, channels in enumerate(_STAGE_CHANNELS, start=1):
        if number > 1 and side < _SMALLEST_SIDE:
            break
        pooled = side >= _SMALLEST_SIDE
        _append_stage(nodes, number, scaled(channels, width), pooled)
        side = side // 2 if pooled else side
    return classified(nodes, image_shape, num_classes)


def _append_stage(nodes: list[Node], number: int, channels: int, pooled: bool) -> None:
    """Two convolutions, a pool behind the first of them."""
    for layer in (2 * number, 2 * number + 1):
        nodes.append(
            Conv(name=f"conv{layer}", inputs=(nodes[-1].name,), channels=channels, kernel=3, padding=1, bias=False)
        )
        if pooled and layer == 2 * number:
            nodes.append(MaxPool(name=f"pool{number}", inputs=(nodes[-1].name,), kernel=2, stride=2))
        nodes.append(Norm(name=f"norm{layer}", inputs=(nodes[-1].name,)))
        _append_activation(nodes)


def _append_activation(nodes: list[Node]) -> None:
    number = 1 + sum(isinstance(node, Activation) for node in nodes)
    nodes.append(Activation(name=f"activation{number}", inputs=(nodes[-1].name,), kind="gelu"))
