"""The rule by which a study starts: a small fast network chosen from the images' shape, the classes and their number.

Convolutions with normalisation, a stem that leaves small planes to the later ones, two convolutions on the last planes
and a maximum over them: on MNIST and digits the most accurate of its cost. The edits do the rest.
"""

from modules.architecture.description import (
    IMAGE,
    Activation,
    Architecture,
    Conv,
    Dense,
    Dropout,
    GlobalPool,
    MaxPool,
    Node,
    Norm,
    Standardise,
)

_STEM_CHANNELS = 16  # of one channel, processors make 16 four times as fast as 24
_FIRST_CHANNELS = 32
_MOST_CHANNELS = 128
_LARGE_SIDE = 16  # images from this side on are halved by the stem
_HUGE_SIDE = 96  # … and from this side on quartered
_LAST_SIDE = 7  # no further stage once the planes are this small
_SMALLEST_SIDE = 4  # planes below this are not halved, and up to this always padded
_FEW_IMAGES = 5_000  # a training set below this gets dropout, and half as many channels at most
_DROPOUT = 0.1


def first_architecture(
    image_shape: tuple[int, int, int],
    num_classes: int,
    num_images: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    width: float | None = None,
) -> Architecture:
    """The architecture to start from, for `num_images` training images of `image_shape` (channels, height, width).

    `width` is a factor on all numbers of channels; None: 1.
    """
    width = 1.0 if width is None else width
    nodes: list[Node] = [Standardise(name="standardise1", inputs=(IMAGE,), mean=mean, std=std)]
    side = min(image_shape[1:])
    kernel, stride = stem(side)
    _append_stage(nodes, scaled(_STEM_CHANNELS, width), kernel, stride)
    _append_stage(nodes, scaled(_FIRST_CHANNELS, width), 3, 1)
    side, channels, pools = side // stride, _FIRST_CHANNELS, 0
    most_channels = _MOST_CHANNELS // (2 if num_images < _FEW_IMAGES else 1)
    while side >= _SMALLEST_SIDE and (side > _LAST_SIDE or pools == 0):
        pools += 1
        nodes.append(MaxPool(name=f"pool{pools}", inputs=(nodes[-1].name,), kernel=2, stride=2))
        side, channels = side // 2, min(2 * channels, most_channels)
        _append_stage(nodes, scaled(channels, width), 3, 1)
    _append_stage(
        nodes, scaled(channels, width), 3, 1, padded=side <= _SMALLEST_SIDE
    )  # unpadded on 7 x 7 it costs half
    nodes.append(GlobalPool(name="global1", inputs=(nodes[-1].name,), kind="max"))
    if num_images < _FEW_IMAGES:
        nodes.append(Dropout(name="dropout1", inputs=(nodes[-1].name,), rate=_DROPOUT))
    nodes.append(Dense(name="dense1", inputs=(nodes[-1].name,), units=num_classes))
    return Architecture(image_shape=image_shape, num_classes=num_classes, nodes=tuple(nodes))


def scaled(channels: int, width: float) -> int:
    """`width` times the channels: a multiple of 8 where there are many, of what processors are quick at."""
    size = channels * width
    return max(2, round(size)) if size < 16 else 8 * round(size / 8)


def stem(side: int) -> tuple[int, int]:
    """Kernel and stride of the first convolution, for images of that side."""
    if side >= _HUGE_SIDE:
        return 8, 4
    return (4, 2) if side >= _LARGE_SIDE else (3, 1)


def _append_stage(nodes: list[Node], channels: int, kernel: int, stride: int, padded: bool = True) -> None:
    number = 1 + sum(isinstance(node, Conv) for node in nodes)
    padding = (kernel - stride + 1) // 2 if padded else 0
    nodes.append(
        Conv(
            name=f"conv{number}",
            inputs=(nodes[-1].name,),
            channels=channels,
            kernel=kernel,
            stride=stride,
            padding=padding,
            bias=False,  # the normalisation shifts
        )
    )
    nodes.append(Norm(name=f"norm{number}", inputs=(nodes[-1].name,)))
    nodes.append(Activation(name=f"activation{number}", inputs=(nodes[-1].name,)))
