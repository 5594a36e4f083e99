"""What an architecture's graph is made of: each node knows the shape it gives, its tensors and its cost.

Nothing here imports torch.
"""

from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field, PositiveFloat, PositiveInt

from modules.records import Record

Shape = tuple[int, ...]  # without the batch: (channels, height, width) or (features,)
NonNegativeInt = Annotated[int, Field(ge=0)]


class TensorSpec(NamedTuple):
    """A tensor of the network's state; those that are not trainable are running statistics."""

    shape: Shape
    trainable: bool


_NEUTRAL = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}


def neutral_value(tensor: str) -> float:
    """What an entry of a vector of the state is before it has learnt anything: it changes nothing."""
    return _NEUTRAL[tensor.rpartition(".")[2]]


def num_elements(shape: Shape) -> int:
    """How many values an array of that shape has."""
    size = 1
    for extent in shape:
        size *= extent
    return size


class BaseNode(Record):
    """What all nodes share. The cost counts a multiplication and an addition as two operations, for one image."""

    num_inputs: ClassVar[int] = 1

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    inputs: tuple[str, ...]

    def output_shape(self, *shapes: Shape) -> Shape:
        """The shape that comes out; ValueError where the node does not fit its inputs."""
        return shapes[0]

    def tensors(self, shape: Shape) -> dict[str, TensorSpec]:
        """The node's own tensors by parameter name, for an input of `shape`."""
        return {}

    def product_flops(self, shape: Shape, output: Shape) -> int:
        """Operations of the matrix products: what libraries count."""
        return 0

    def element_flops(self, shape: Shape, output: Shape) -> int:
        """Operations of everything else."""
        return 0

    def _image(self, shape: Shape) -> tuple[int, int, int]:
        if len(shape) != 3:
            raise ValueError(
                f"node {self.name!r} ({type(self).__name__}) needs channels, height and width, got {shape}"
            )
        return shape[0], shape[1], shape[2]

    def _window(self, shape: Shape, kernel: int, stride: int, padding: int = 0) -> tuple[int, int]:
        _, height, width = self._image(shape)
        if min(height, width) + 2 * padding < kernel:
            raise ValueError(
                f"node {self.name!r} has a window of {kernel} with padding {padding}; its input is {height} x {width}"
            )
        return (height + 2 * padding - kernel) // stride + 1, (width + 2 * padding - kernel) // stride + 1


class Standardise(BaseNode):
    """Subtracts the mean and divides by the standard deviation of the training images, per channel."""

    op: Literal["standardise"] = "standardise"
    mean: tuple[float, ...]
    std: tuple[PositiveFloat, ...]

    def output_shape(self, *shapes: Shape) -> Shape:
        """As the input, which has one mean and one deviation a channel."""
        channels = self._image(shapes[0])[0]
        if not len(self.mean) == len(self.std) == channels:
            raise ValueError(
                f"node {self.name!r} has {len(self.mean)} means and {len(self.std)} deviations for {channels} channels"
            )
        return shapes[0]

    def element_flops(self, shape: Shape, output: Shape) -> int:
        """A scale and a shift an element."""
        return 2 * num_elements(output)


class Resize(BaseNode):
    """Brings the image to another size by a triangle filter, as wide as a new pixel where it shrinks."""

    op: Literal["resize"] = "resize"
    height: PositiveInt
    width: PositiveInt

    def output_shape(self, *shapes: Shape) -> Shape:
        """The same channels."""
        return (self._image(shapes[0])[0], self.height, self.width)

    def element_flops(self, shape: Shape, output: Shape) -> int:
        """A matrix product for the rows and one for the columns, as they are computed."""
        channels, height, width = shape
        return 2 * channels * self.height * width * (height + self.width)


class Pad(BaseNode):
    """Zeros around the planes: `before` above and to the left, `after` below and to the right."""

    op: Literal["pad"] = "pad"
    before: NonNegativeInt = 0
    after: NonNegativeInt = 0

    def output_shape(self, *shapes: Shape) -> Shape:
        """The same channels, larger planes."""
        channels, height, width = self._image(shapes[0])
        return (channels, height + self.before + self.after, width + self.before + self.after)


class Conv(BaseNode):
    """A square two-dimensional convolution."""

    op: Literal["conv"] = "conv"
    channels: PositiveInt
    kernel: PositiveInt
    stride: PositiveInt = 1
    padding: NonNegativeInt = 0
    groups: PositiveInt = 1
    bias: bool = True

    def output_shape(self, *shapes: Shape) -> Shape:
        """One plane a channel."""
        channels = self._image(shapes[0])[0]
        if channels % self.groups or self.channels % self.groups:
            raise ValueError(
                f"node {self.name!r} has {self.groups} groups, which must divide its {channels} inputs "
                f"and {self.channels} outputs"
            )
        return (self.channels, *self._window(shapes[0], self.kernel, self.stride, self.padding))

    def tensors(self, shape: Shape) -> dict[str, TensorSpec]:
        """`weight` (outputs, inputs a group, kernel, kernel) and perhaps `bias`."""
        weight = TensorSpec((self.channels, shape[0] // self.groups, self.kernel, self.kernel), True)
        return {"weight": weight, "bias": TensorSpec((self.channels,), True)} if self.bias else {"weight": weight}

    def product_flops(self, shape: Shape, output: Shape) -> int:
        """Two for each weight at each position."""
        return 2 * num_elements(output) * (shape[0] // self.groups) * self.kernel**2

    def element_flops(self, shape: Shape, output: Shape) -> int:
        """The bias."""
        return num_elements(output) if self.bias else 0

    def is_depthwise(self, shape: Shape) -> bool:
        """Whether each channel is filtered on its own, so that outputs and inputs are the same channels."""
        return 1 < self.groups == self.channels == shape[0]


class Norm(BaseNode):
    """Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167) of images or of features."""

    op: Literal["norm"] = "norm"
    eps: PositiveFloat = 1e-5

    def tensors(self, shape: Shape) -> dict[str, TensorSpec]:
        """`weight`, `bias` and the running statistics, an entry a channel."""
        trainable, running = TensorSpec(shape[:1], True), TensorSpec(shape[:1], False)
        return {"weight": trainable, "bias": trainable, "running_mean": running, "running_var": running}

    def element_flops(self, shape: Shape, output: Shape) -> int:
        """A scale and a shift an element."""
        return 2 * num_elements(output)


class GroupNorm(BaseNode):
    """Normalisation of each image over groups of `group_size` consecutive channels (Wu and He 2018, arXiv:1803.08494).

    A size, not a number of groups: whole groups can then come and go without any effect on the others.
    """

    op: Literal["group_norm"] = "group_norm"
    group_size: PositiveInt
    eps: PositiveFloat = 1e-5

    def output_shape(self, *shapes: Shape) -> Shape:
        """As the input, an image whose channels make whole groups of more than one element."""
        channels, height, width = self._image(shapes[0])
        if channels % self.group_size:
            raise ValueError(
                f"node {self.name!r} has groups of {self.group_size} channels; its {channels} must be a multiple of it"
            )
        if self.group_size * height * width == 1:
            raise ValueError(f"node {self.name!r} normalises single elements, of which nothing would be left")
        return shapes[0]

    def tensors(self, shape: Shape) -> dict[str, TensorSpec]:
        """`weight` and `bias`, an entry a channel."""
        return dict.fromkeys(("weight", "bias"), TensorSpec(shape[:1], True))

    def element_flops(self, shape: Shape, output: Shape) -> int:
        """A sum, a sum of squares, then the difference, the quotient, a scale and a shift an element."""
        return 7 * num_elements(output)


ActivationKind = Literal["relu", "gelu", "silu", "relu6"]


class Activation(BaseNode):
    """A function of each element."""

    op: Literal["activation"] = "activation"
    kind: ActivationKind = "relu"

    def element_flops(self, shape: Shape, output: Shape) -> int:
        """One an element, whatever the kind."""
        return num_elements(output)


class _Pool(BaseNode):
    kernel: PositiveInt
    stride: PositiveInt

    def output_shape(self, *shapes: Shape) -> Shape:
        """The same channels; incomplete windows are left out."""
        return (shapes[0][0], *self._window(shapes[0], self.kernel, self.stride))

    def element_flops(self, shape: Shape, output: Shape) -> int:
        """One for each element of each window."""
        return num_elements(output) * self.kernel**2


class MaxPool(_Pool):
    """The largest of each window."""

    op: Literal["max_pool"] = "max_pool"


class AvgPool(_Pool):
    """The mean of each window."""

    op: Literal["avg_pool"] = "avg_pool"


class GlobalPool(BaseNode):
    """The largest or the mean of each plane."""

    op: Literal["global_pool"] = "global_pool"
    kind: Literal["max", "avg"] = "avg"

    def output_shape(self, *shapes: Shape) -> Shape:
        """A feature a channel."""
        return (self._image(shapes[0])[0],)

    def element_flops(self, shape: Shape, output: Shape) -> int:
        """One an element."""
        return num_elements(shape)


class Flatten(BaseNode):
    """All elements as features, channel by channel."""

    op: Literal["flatten"] = "flatten"

    def output_shape(self, *shapes: Shape) -> Shape:
        """A feature an element."""
        self._image(shapes[0])
        return (num_elements(shapes[0]),)


class Dense(BaseNode):
    """A matrix product."""

    op: Literal["dense"] = "dense"
    units: PositiveInt
    bias: bool = True

    def output_shape(self, *shapes: Shape) -> Shape:
        """A feature a unit."""
        if len(shapes[0]) != 1:
            raise ValueError(
                f"node {self.name!r} (Dense) needs features; pool or flatten its input of {shapes[0]} first"
            )
        return (self.units,)

    def tensors(self, shape: Shape) -> dict[str, TensorSpec]:
        """`weight` (outputs, inputs) and perhaps `bias`."""
        weight = TensorSpec((self.units, shape[0]), True)
        return {"weight": weight, "bias": TensorSpec((self.units,), True)} if self.bias else {"weight": weight}

    def product_flops(self, shape: Shape, output: Shape) -> int:
        """Two a weight."""
        return 2 * shape[0] * self.units

    def element_flops(self, shape: Shape, output: Shape) -> int:
        """The bias."""
        return self.units if self.bias else 0


class Dropout(BaseNode):
    """Drops elements at random while training (Srivastava et al. 2014)."""

    op: Literal["dropout"] = "dropout"
    rate: Annotated[float, Field(ge=0, lt=1)]


class Add(BaseNode):
    """The sum of two inputs of the same shape: a residual connection."""

    num_inputs: ClassVar[int] = 2

    op: Literal["add"] = "add"

    def output_shape(self, *shapes: Shape) -> Shape:
        """As both inputs."""
        if shapes[0] != shapes[1]:
            raise ValueError(f"node {self.name!r} (Add) needs two inputs of one shape, got {shapes[0]} and {shapes[1]}")
        return shapes[0]

    def element_flops(self, shape: Shape, output: Shape) -> int:
        """One an element."""
        return num_elements(output)


Node = Annotated[
    Standardise
    | Resize
    | Pad
    | Conv
    | Norm
    | GroupNorm
    | Activation
    | MaxPool
    | AvgPool
    | GlobalPool
    | Flatten
    | Dense
    | Dropout
    | Add,
    Field(discriminator="op"),
]
