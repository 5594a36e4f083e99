"""What the rules for a first network share: its stem, its widths, a layer behind what is there, and its end."""

from collections.abc import Sequence

from modules.architecture.description import Architecture
from modules.architecture.nodes import Activation, Conv, Dense, GlobalPool, Node, Norm

_LARGE_SIDE = 16  # images from this side on are halved by the stem
_HUGE_SIDE = 96  # … and from this side on quartered


def scaled(channels: int, width: float) -> int:
    """`width` times the channels: a multiple of 8 where there are many, of what processors are quick at."""
    size = channels * width
    return max(2, round(size)) if size < 16 else 8 * round(size / 8)


def stem(side: int) -> tuple[int, int]:
    """Kernel and stride of the first convolution, for images of that side."""
    if side >= _HUGE_SIDE:
        return 8, 4
    return (4, 2) if side >= _LARGE_SIDE else (3, 1)


def append_layer(
    nodes: list[Node], channels: int, kernel: int = 3, stride: int = 1, padded: bool = True, activated: bool = True
) -> None:
    """A convolution with its normalisation and, if `activated`, a ReLU."""
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
    if activated:
        append_activation(nodes)


def append_activation(nodes: list[Node]) -> None:
    """A ReLU."""
    number = 1 + sum(isinstance(node, Activation) for node in nodes)
    nodes.append(Activation(name=f"activation{number}", inputs=(nodes[-1].name,)))


def classified(nodes: Sequence[Node], image_shape: tuple[int, int, int], num_classes: int) -> Architecture:
    """The whole network: behind `nodes` the maximum over the planes of each channel and a layer of classes."""
    pool = GlobalPool(name="global1", inputs=(nodes[-1].name,), kind="max")
    classes = Dense(name="dense1", inputs=(pool.name,), units=num_classes)
    return Architecture(image_shape=image_shape, num_classes=num_classes, nodes=(*nodes, pool, classes))
