"""EfficientNet-Lite (Tan and Le 2019, arXiv:1905.11946; the Lite variants of 2020) in our own description.

Inverted residual blocks (Sandler et al. 2018, arXiv:1801.04381) with ReLU6 and without squeeze and excitation. Strided
convolutions pad as TensorFlow does, more below and to the right than above and to the left.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import (
    Activation,
    Add,
    Conv,
    Dense,
    Dropout,
    GlobalPool,
    Node,
    Norm,
    Pad,
    Resize,
    Standardise,
)

REVISION = 1

_MEAN, _STD = 127 / 255, 128 / 255  # of the pixels that it was trained on, in [0, 1]
_EPS = 1e-3
_DROPOUT = 0.2
_STEM, _HEAD = 32, 1280  # as wide in all variants
_DIVISOR = 8


class _Stage(NamedTuple):
    kernel: int
    stride: int
    expansion: int
    channels: int
    repeats: int


_STAGES = (
    _Stage(3, 1, 1, 16, 1),
    _Stage(3, 2, 6, 24, 2),
    _Stage(5, 2, 6, 40, 2),
    _Stage(3, 2, 6, 80, 3),
    _Stage(5, 1, 6, 112, 3),
    _Stage(5, 2, 6, 192, 4),
    _Stage(3, 1, 6, 320, 1),
)


class EfficientNetLite:
    """A variant: factors on the numbers of channels and of blocks."""

    channels = 3

    def __init__(self, width: float, depth: float) -> None:
        self.width = width
        self.depth = depth

    def architecture(self, image_shape: tuple[int, int, int], num_classes: int, side: int) -> Architecture:
        """The network for colour images of `image_shape` (3, height, width), which it brings to `side` pixels first."""
        build = _Builder()
        if image_shape[1:] != (side, side):
            build.put(Resize(name="resize1", inputs=(build.last,), height=side, width=side))
        build.put(Standardise(name="standardise1", inputs=(build.last,), mean=(_MEAN,) * 3, std=(_STD,) * 3))
        self._layers(build)
        build.put(GlobalPool(name="global1", inputs=(build.last,), kind="avg"))
        build.put(Dropout(name="dropout1", inputs=(build.last,), rate=_DROPOUT))
        build.put(Dense(name="dense1", inputs=(build.last,), units=num_classes))
        return Architecture(image_shape=image_shape, num_classes=num_classes, nodes=tuple(build.nodes))

    def tensor_names(self) -> dict[str, str]:
        """What each tensor of the network but those of its last layer is called in the published weights."""
        build = _Builder()
        self._layers(build)
        return build.published

    def _layers(self, build: "_Builder") -> None:
        build.layer(_STEM, kernel=3, stride=2, published=("_conv_stem", "_bn0"))
        for number, block in enumerate(_blocks(self.width, self.depth)):
            build.block(block, f"_blocks.{number}.")
        build.layer(_HEAD, kernel=1, published=("_conv_head", "_bn1"))


def _blocks(width: float, depth: float) -> Iterator[_Stage]:
    """Every block; only the first of a stage strides. The first and the last stage are as deep in all variants."""
    for number, stage in enumerate(_STAGES):
        outer = number in (0, len(_STAGES) - 1)
        repeats = stage.repeats if outer else math.ceil(depth * stage.repeats)
        for repeat in range(repeats):
            yield stage._replace(stride=stage.stride if repeat == 0 else 1, channels=_rounded(width * stage.channels))


def _rounded(channels: float) -> int:
    """To a multiple of 8, and not by more than a tenth downwards."""
    rounded = max(_DIVISOR, int(channels + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return rounded + _DIVISOR if rounded < 0.9 * channels else rounded


class _Builder:
    """Nodes appended one after another, and what their tensors are called in the published weights."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.published: dict[str, str] = {}
        self.channels = 0

    @property
    def last(self) -> str:
        return self.nodes[-1].name if self.nodes else IMAGE

    def put(self, node: Node) -> None:
        self.nodes.append(node)

    def layer(
        self,
        channels: int,
        kernel: int,
        stride: int = 1,
        depthwise: bool = False,
        activated: bool = True,
        published: tuple[str, str] = ("", ""),
    ) -> None:
        """A convolution with its normalisation, padded so that planes are only divided by the stride."""
        total = kernel - stride if stride > 1 else kernel - 1
        before, after = total // 2, total - total // 2
        if before != after:
            self.put(Pad(name=self._name(Pad, "pad"), inputs=(self.last,), before=before, after=after))
            before = 0
        groups = channels if depthwise else 1
        convolution = Conv(
            name=self._name(Conv, "conv"),
            inputs=(self.last,),
            channels=channels,
            kernel=kernel,
            stride=stride,
            padding=before,
            groups=groups,
            bias=False,
        )
        self.put(convolution)
        norm = Norm(name=self._name(Norm, "norm"), inputs=(self.last,), eps=_EPS)
        self.put(norm)
        self.published[f"{convolution.name}.weight"] = f"{published[0]}.weight"
        for parameter in ("weight", "bias", "running_mean", "running_var"):
            self.published[f"{norm.name}.{parameter}"] = f"{published[1]}.{parameter}"
        if activated:
            self.put(Activation(name=self._name(Activation, "activation"), inputs=(self.last,), kind="relu6"))
        self.channels = channels

    def block(self, block: _Stage, prefix: str = "") -> None:
        """Widened, filtered channel by channel, projected; added to its input where the shapes agree."""
        source, channels = self.last, self.channels
        wide = channels * block.expansion
        if block.expansion > 1:
            self.layer(wide, 1, published=(f"{prefix}_expand_conv", f"{prefix}_bn0"))
        names = f"{prefix}_depthwise_conv", f"{prefix}_bn1"
        self.layer(wide, block.kernel, block.stride, depthwise=True, published=names)
        self.layer(block.channels, 1, activated=False, published=(f"{prefix}_project_conv", f"{prefix}_bn2"))
        if block.stride == 1 and channels == block.channels:
            self.put(Add(name=self._name(Add, "add"), inputs=(source, self.last)))

    def _name(self, kind: type[Node], stem: str) -> str:
        return f"{stem}{1 + sum(isinstance(node, kind) for node in self.nodes)}"
