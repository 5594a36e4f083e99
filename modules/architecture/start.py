"""The rule by which a study starts: a small fast network chosen from the images' shape, the classes and their number.

Convolutions with normalisation, a stem that leaves small planes to the later ones, two convolutions on the last planes
and a maximum over them: on MNIST and digits the most accurate of its cost. The edits do the rest.
"""

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import Dense, Dropout, GlobalPool, MaxPool, Node, Standardise
from modules.architecture.stages import append_layer, scaled, stem

_STEM_CHANNELS = 16  # of one channel, processors make 16 four times as fast as 24
_FIRST_CHANNELS = 32
_MOST_CHANNELS = 128
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
    append_layer(nodes, scaled(_STEM_CHANNELS, width), kernel, stride)
    append_layer(nodes, scaled(_FIRST_CHANNELS, width))
    side, channels, pools = side // stride, _FIRST_CHANNELS, 0
    most_channels = _MOST_CHANNELS // (2 if num_images < _FEW_IMAGES else 1)
    while side >= _SMALLEST_SIDE and (side > _LAST_SIDE or pools == 0):
        pools += 1
        nodes.append(MaxPool(name=f"pool{pools}", inputs=(nodes[-1].name,), kernel=2, stride=2))
        side, channels = side // 2, min(2 * channels, most_channels)
        append_layer(nodes, scaled(channels, width))
    append_layer(nodes, scaled(channels, width), padded=side <= _SMALLEST_SIDE)  # unpadded on 7 x 7 it costs half
    nodes.append(GlobalPool(name="global1", inputs=(nodes[-1].name,), kind="max"))
    if num_images < _FEW_IMAGES:
        nodes.append(Dropout(name="dropout1", inputs=(nodes[-1].name,), rate=_DROPOUT))
    nodes.append(Dense(name="dense1", inputs=(nodes[-1].name,), units=num_classes))
    return Architecture(image_shape=image_shape, num_classes=num_classes, nodes=tuple(nodes))
