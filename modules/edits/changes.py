"""What an edit does to the tensors of a state, as data: a history that can be replayed on any copy of the weights.

Random numbers come from counters of (seed, "edit", tensor, size before, position): the raw and the averaged weights get
the same ones, and dividing a tensor twice never repeats them. Nothing here imports torch.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from modules import randomness
from modules.architecture.nodes import neutral_value
from modules.occurrences import occurrences
from modules.records import Record

REVISION = 3  # 3: what schedule-free training averages by is divided as the weights are

Array = NDArray[np.float32]
Tensors = dict[str, Array]

# The slots in which torch's optimisers keep means or sums of squared gradients, by which they divide.
SQUARES = frozenset({"exp_avg_sq", "square_avg", "sum"})
# Those that hold a distance between two copies of the weights (schedule-free AdamW's): they change as weights do.
DISTANCES = frozenset({"offset"})
# neutral: changes nothing, e.g. a scale of 1; identity: a layer that gives back what it gets
Fill = Literal["zero", "neutral", "normal", "window_mean", "identity"]


def _filled(fill: Fill, shape: tuple[int, ...], std: float, seed: int, tensor: str) -> Array:
    match fill:
        case "normal":
            counters = np.arange(math.prod(shape), dtype=np.uint64)
            return (std * randomness.normal(seed, "edit", tensor, 0, counters)).reshape(shape).astype(np.float32)
        case "window_mean":  # a convolution that takes the mean of each channel's window
            diagonal = np.eye(shape[0], shape[1], dtype=np.float32)[:, :, None, None]
            return np.broadcast_to(diagonal / math.prod(shape[2:]), shape).astype(np.float32)
        case "identity":
            window = np.zeros(shape[2:], dtype=np.float32)
            window[tuple(extent // 2 for extent in shape[2:])] = 1.0
            return np.multiply.outer(np.eye(shape[0], shape[1], dtype=np.float32), window)
        case "neutral":
            return np.full(shape, neutral_value(tensor), dtype=np.float32)
        case "zero":
            return np.zeros(shape, dtype=np.float32)


def _moment_of_new(old: Array, slot: str) -> float:
    return float(old.mean(dtype=np.float64)) if slot in SQUARES else 0.0


class _Change(Record):
    tensor: str

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """Change weights; what is computed from weights is computed from the `judged` ones, for every copy alike."""

    def apply_to_moments(self, moments: Tensors, slot: str, seed: int) -> None:
        """Change an optimiser's moments: what is new or was rewritten starts without any.

        But new entries of a tensor start with the mean of its squared gradients. With zero, and the tensor's count of
        steps, the first steps of theirs would be many times as long as the learning rate.
        """


class Create(_Change):
    """A new tensor."""

    op: Literal["create"] = "create"
    shape: tuple[int, ...]
    fill: Fill
    std: float = 0.0

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """Fill it."""
        tensors[self.tensor] = _filled(self.fill, self.shape, self.std, seed, self.tensor)


class Copy(_Change):
    """Copies of some entries at the end of a dimension, in their order."""

    op: Literal["copy"] = "copy"
    dim: int
    indices: tuple[int, ...]

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """Append them."""
        tensors[self.tensor] = self._copied(tensors[self.tensor])

    def apply_to_moments(self, moments: Tensors, slot: str, seed: int) -> None:
        """Those of what was copied."""
        old = moments.get(self.tensor)
        if old is not None and old.ndim:
            moments[self.tensor] = self._copied(old)

    def _copied(self, old: Array) -> Array:
        return np.concatenate([old, np.take(old, self.indices, axis=self.dim)], axis=self.dim)


class Divide(Copy):
    """Weights of copied inputs: each stays where it was or goes to one of the copies, drawn; elsewhere is zero.

    The copies then weigh together what one did, and have gradients of their own.
    """

    op: Literal["divide"] = "divide"  # type: ignore[assignment]

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """Draw where each goes."""
        old = tensors[self.tensor]
        size, first = old.shape[self.dim], np.moveaxis(old, self.dim, 0)
        origins = np.concatenate([np.arange(size), self.indices]).astype(np.int64)
        places = np.bincount(origins, minlength=size)[origins]  # among which each entry's weights are divided
        counters = np.arange(first.size, dtype=np.uint64).reshape(first.shape)
        luck = randomness.uniform(seed, "edit", self.tensor, size, counters)[origins]
        chosen = np.floor(luck * _beside(places, luck)) == _beside(occurrences(origins), luck)
        divided = np.where(chosen, first[origins], np.float32(0))
        tensors[self.tensor] = np.ascontiguousarray(np.moveaxis(divided, 0, self.dim))

    def apply_to_moments(self, moments: Tensors, slot: str, seed: int) -> None:
        """Each copy has those of what was copied, but a distance goes where its weight goes."""
        if slot not in DISTANCES:
            super().apply_to_moments(moments, slot, seed)
        elif self.tensor in moments:
            self.apply(moments, seed, moments)


def _beside(numbers: NDArray[Any], like: NDArray[np.float64]) -> NDArray[np.int64]:
    return numbers.reshape(-1, *[1] * (like.ndim - 1))


class Select(_Change):
    """Some entries of a dimension, in their order."""

    op: Literal["select"] = "select"
    dim: int
    indices: tuple[int, ...]

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """Keep those."""
        tensors[self.tensor] = np.take(tensors[self.tensor], self.indices, axis=self.dim)

    def apply_to_moments(self, moments: Tensors, slot: str, seed: int) -> None:
        """Keep those."""
        old = moments.get(self.tensor)
        if old is not None and old.ndim:
            moments[self.tensor] = np.take(old, self.indices, axis=self.dim)


class Pad(_Change):
    """A border of zeros around a convolution's windows."""

    op: Literal["pad"] = "pad"
    width: int

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """Put it around."""
        tensors[self.tensor] = self._padded(tensors[self.tensor], 0.0)

    def apply_to_moments(self, moments: Tensors, slot: str, seed: int) -> None:
        """Zeros, or the mean of squares."""
        old = moments.get(self.tensor)
        if old is not None and old.ndim:
            moments[self.tensor] = self._padded(old, _moment_of_new(old, slot))

    def _padded(self, old: Array, value: float) -> Array:
        return np.pad(old, [(0, 0)] * (old.ndim - 2) + [(self.width, self.width)] * 2, constant_values=value)


class Crop(_Change):
    """A convolution's windows without their border."""

    op: Literal["crop"] = "crop"
    width: int

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """Take it off."""
        tensors[self.tensor] = self._cropped(tensors[self.tensor])

    def apply_to_moments(self, moments: Tensors, slot: str, seed: int) -> None:
        """Take it off."""
        old = moments.get(self.tensor)
        if old is not None and old.ndim:
            moments[self.tensor] = self._cropped(old)

    def _cropped(self, old: Array) -> Array:
        return old[..., self.width : -self.width, self.width : -self.width]


class Drop(_Change):
    """A tensor that goes."""

    op: Literal["drop"] = "drop"

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """Forget it."""
        del tensors[self.tensor]

    def apply_to_moments(self, moments: Tensors, slot: str, seed: int) -> None:
        """Forget it."""
        moments.pop(self.tensor, None)


class Rename(_Change):
    """A tensor that moves to another node."""

    op: Literal["rename"] = "rename"
    to: str

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """Move it."""
        tensors[self.to] = tensors.pop(self.tensor)

    def apply_to_moments(self, moments: Tensors, slot: str, seed: int) -> None:
        """Move it."""
        if self.tensor in moments:
            moments[self.to] = moments.pop(self.tensor)


class Factorise(_Change):
    """A convolution's weights as a depthwise and a pointwise factor: for each input the best one of rank one."""

    op: Literal["factorise"] = "factorise"
    depthwise: str
    pointwise: str

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """By singular values; the factors of different copies would differ in sign, so all get those of one."""
        del tensors[self.tensor]
        weight = judged[self.tensor].astype(np.float64)
        outputs, inputs, *window = weight.shape
        left, values, right = np.linalg.svd(weight.swapaxes(0, 1).reshape(inputs, outputs, -1), full_matrices=False)
        scale = np.sqrt(values[:, :1])
        depthwise, pointwise = right[:, 0] * scale, left[:, :, 0] * scale
        tensors[self.depthwise] = depthwise.reshape(inputs, 1, *window).astype(np.float32)
        tensors[self.pointwise] = np.ascontiguousarray(pointwise.T.reshape(outputs, inputs, 1, 1), dtype=np.float32)

    def apply_to_moments(self, moments: Tensors, slot: str, seed: int) -> None:
        """Start without."""
        moments.pop(self.tensor, None)


class SumBlocks(_Change):
    """Sums of `block` consecutive entries of a dimension: what features weigh that become one."""

    op: Literal["sum_blocks"] = "sum_blocks"
    dim: int
    block: int

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """Sum them."""
        old = tensors[self.tensor]
        shape = (*old.shape[: self.dim], -1, self.block, *old.shape[self.dim + 1 :])
        tensors[self.tensor] = old.reshape(shape).sum(axis=self.dim + 1)

    def apply_to_moments(self, moments: Tensors, slot: str, seed: int) -> None:
        """Start without."""
        moments.pop(self.tensor, None)


class Assign(_Change):
    """Values measured on data, for the entries of a vector from `start` on."""

    op: Literal["assign"] = "assign"
    start: int
    values: tuple[float, ...]

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """Write them."""
        vector = tensors[self.tensor].copy()
        vector[self.start :] = self.values
        tensors[self.tensor] = vector


class Shift(_Change):
    """Values measured on data that are added to a vector."""

    op: Literal["shift"] = "shift"
    values: tuple[float, ...]

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """Add them."""
        tensors[self.tensor] = tensors[self.tensor] + np.asarray(self.values, dtype=np.float32)


class Scale(_Change):
    """Factors measured on data that a vector is multiplied by."""

    op: Literal["scale"] = "scale"
    values: tuple[float, ...]

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """Multiply by them."""
        tensors[self.tensor] = tensors[self.tensor] * np.asarray(self.values, dtype=np.float32)

    def apply_to_moments(self, moments: Tensors, slot: str, seed: int) -> None:
        """Start without."""
        moments.pop(self.tensor, None)


class FoldNorm(_Change):
    """A batch normalisation's statistics, scale and shift as part of the layer before it, whose weight is `tensor`.

    Each copy of the weights by its own statistics, so that it computes what it did.
    """

    op: Literal["fold_norm"] = "fold_norm"
    norm: str
    eps: float

    def apply(self, tensors: Tensors, seed: int, judged: Mapping[str, Array]) -> None:
        """Scale the weights and put the rest into the bias, which may be new."""
        weight, bias, mean, variance = (
            tensors.pop(f"{self.norm}.{parameter}").astype(np.float64)
            for parameter in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / np.sqrt(variance + self.eps)
        old = tensors[self.tensor]
        tensors[self.tensor] = (old * scale.reshape(-1, *[1] * (old.ndim - 1))).astype(np.float32)
        tensors[self._bias] = (bias + (tensors.get(self._bias, 0.0) - mean) * scale).astype(np.float32)

    def apply_to_moments(self, moments: Tensors, slot: str, seed: int) -> None:
        """Start without, but for the shift: the bias takes its place and has the same gradient."""
        for name in (self.tensor, self._bias, f"{self.norm}.weight"):
            moments.pop(name, None)
        if f"{self.norm}.bias" in moments:
            moments[self._bias] = moments.pop(f"{self.norm}.bias")

    @property
    def _bias(self) -> str:
        return f"{self.tensor.rpartition('.')[0]}.bias"


TensorChange = Annotated[
    Create
    | Copy
    | Divide
    | Select
    | Pad
    | Crop
    | Drop
    | Rename
    | Factorise
    | SumBlocks
    | Assign
    | Shift
    | Scale
    | FoldNorm,
    Field(discriminator="op"),
]


def apply_changes(
    changes: Iterable[TensorChange],
    tensors: Mapping[str, Array],
    seed: int,
    judged: Mapping[str, Array] | None = None,
) -> Tensors:
    """The weights after the changes; `judged` are the averaged weights before them (default: these)."""
    result = dict(tensors)
    for change in changes:
        change.apply(result, seed, tensors if judged is None else judged)
    return result


def apply_changes_to_moments(
    changes: Iterable[TensorChange], moments: Mapping[str, Array], slot: str, seed: int
) -> Tensors:
    """The moments of one slot of an optimiser after the changes, drawn by the seed of the weights.

    A tensor that is new has none.
    """
    result = dict(moments)
    for change in changes:
        change.apply_to_moments(result, slot, seed)
    return result
