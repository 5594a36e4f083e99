"""Put another kind of layer in the place of one, as close to it as its weights can be made."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    GroupNorm,
    MaxPool,
    Node,
    Norm,
)
from modules.edits.changes import Array, Create, Drop, Factorise, FoldNorm, Rename, SumBlocks, TensorChange
from modules.edits.edit import Calibration, Edited, EditKind, KeepSpread, SetNorm, downstream_calibrations

REVISION = 1

Replacement = Literal[
    "relu",
    "gelu",
    "silu",
    "avg_pool",
    "max_pool",
    "strided_conv",
    "separable_conv",
    "global_pool",
    "group_norm",
    "batch_norm",
    "bias",
]

_GROUP = 8  # channels that are normalised together at most: groups of few are as good, and leave widths nearly free
_FEWEST = 16  # elements that are normalised together at least: of two, little more than their order is left

_ACTIVATIONS: tuple[Literal["relu", "gelu", "silu"], ...] = ("relu", "gelu", "silu")


@dataclass(frozen=True)
class ReplaceLayer:
    """Replaces `node` by another kind of layer: activation, max-pool, convolution, normalisation or flattening."""

    kind: ClassVar[EditKind] = "approximate"
    site_arguments: ClassVar[tuple[str, ...]] = ("node", "by")

    node: str
    by: Replacement

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """Every node with each of its replacements."""
        return tuple(
            {"node": node.name, "by": replacement}
            for node in architecture.nodes
            for replacement in _replacements(architecture, node)
        )

    def apply(self, architecture: Architecture, weights: Mapping[str, Array]) -> Edited:
        """Replace it; later normalisations and means follow, by data."""
        node = architecture.node(self.node)
        allowed = _replacements(architecture, node)
        if self.by not in allowed:
            others = ", ".join(allowed) or "nothing"
            raise ValueError(f"{node.name!r} ({node.op}) cannot be replaced by {self.by!r}; by what it can: {others}")
        after, first, changes, calibrations = _replaced(architecture, node, self.by)
        return Edited(
            after,
            tuple(changes),
            f"replace {node.name} ({node.op}) by {self.by}",
            (*calibrations, *(downstream_calibrations(architecture, after, first) if first else ())),
        )


class _Replaced(NamedTuple):
    """The architecture, its first node that computes something else, if any, and what becomes of the tensors."""

    architecture: Architecture
    first: str | None
    changes: Sequence[TensorChange] = ()
    calibrations: tuple[Calibration, ...] = ()


def _replacements(architecture: Architecture, node: Node) -> tuple[Replacement, ...]:
    match node:
        case Activation():
            return tuple(kind for kind in _ACTIVATIONS if kind != node.kind)
        case MaxPool():
            return ("avg_pool", "strided_conv")
        case Conv():
            pool: tuple[Replacement, ...] = ("max_pool",) if _is_like_a_pool(architecture, node) else ()
            separable: tuple[Replacement, ...] = ("separable_conv",) if _is_separable(architecture, node) else ()
            return pool + separable
        case Norm():
            bias: tuple[Replacement, ...] = ("bias",) if _layer_before(architecture, node) else ()
            return (*(("group_norm",) if _group_size(architecture, node) > 1 else ()), *bias)
        case GroupNorm():
            return ("batch_norm",)
        case Flatten() if _planes(architecture, node) > 1 and _weights_behind(architecture, node.name):
            return ("global_pool",)
        case _:
            return ()


def _is_like_a_pool(architecture: Architecture, conv: Conv) -> bool:
    """Whether each channel comes from windows side by side, as in the pool that a strided convolution replaced."""
    same = conv.channels == architecture.input_shape(conv.name)[0]
    return same and conv.padding == 0 and conv.kernel == conv.stride > 1


def _is_separable(architecture: Architecture, conv: Conv) -> bool:
    return conv.groups == 1 and conv.kernel > 1 and architecture.input_shape(conv.name)[0] > 1


def _group_size(architecture: Architecture, norm: Norm) -> int:
    """How many channels can be normalised together; 1 where that makes no sense."""
    shape = architecture.input_shape(norm.name)
    size = math.gcd(shape[0], _GROUP) if len(shape) == 3 else 1
    return size if size * math.prod(shape[1:]) >= _FEWEST else 1


def _layer_before(architecture: Architecture, norm: Norm) -> Conv | Dense | None:
    """The layer that a normalisation can be folded into: the one before it, if nothing else reads that."""
    (source,) = norm.inputs
    before = architecture.node(source) if source != IMAGE else None
    alone = len(architecture.readers(source)) == 1
    return before if isinstance(before, Conv | Dense) and alone else None


def _planes(architecture: Architecture, flatten: Flatten) -> int:
    """The number of features that each channel is flattened to."""
    _, height, width = architecture.input_shape(flatten.name)
    return height * width


def _weights_behind(architecture: Architecture, name: str) -> tuple[str, ...]:
    """The dense weights that features reach element by element; none where something else reads them as well."""
    found: list[str] = []
    for reader in architecture.readers(name):
        passes = isinstance(reader, Activation | Dropout)
        weights = (
            (f"{reader.name}.weight",) if isinstance(reader, Dense) else _weights_behind(architecture, reader.name)
        )
        if not weights or not (passes or isinstance(reader, Dense)):
            return ()
        found += weights
    return tuple(found)


def _replaced(architecture: Architecture, node: Node, by: Replacement) -> _Replaced:
    match node, by:
        case Activation(), "relu" | "gelu" | "silu":
            return _with(architecture, node, [node.updated(kind=by)])
        case MaxPool(), "avg_pool":
            name = architecture.fresh_name("pool")
            pool = AvgPool(name=name, inputs=node.inputs, kernel=node.kernel, stride=node.stride)
            return _with(architecture, node, [pool])
        case MaxPool(), "strided_conv":
            return _by_strided_conv(architecture, node)
        case Conv(), "max_pool":
            name = architecture.fresh_name("pool")
            largest = MaxPool(name=name, inputs=node.inputs, kernel=node.kernel, stride=node.stride)
            return _with(architecture, node, [largest], _dropped(node, "weight", *["bias"] * node.bias))
        case Conv(), "separable_conv":
            return _by_separable_conv(architecture, node)
        case Norm(), "bias":
            return _by_bias(architecture, node)
        case Norm(), "group_norm":
            size = _group_size(architecture, node)
            group_norm = GroupNorm(name=node.name, inputs=node.inputs, group_size=size, eps=node.eps)
            changes = _dropped(node, "running_mean", "running_var")
            return _with(architecture, node, [group_norm], changes, (KeepSpread(node.name),))
        case GroupNorm(), "batch_norm":
            return _by_batch_norm(architecture, node)
        case Flatten(), "global_pool":
            mean = GlobalPool(name=architecture.fresh_name("global"), inputs=node.inputs, kind="avg")
            block = _planes(architecture, node)
            weights = _weights_behind(architecture, node.name)
            return _with(
                architecture, node, [mean], [SumBlocks(tensor=weight, dim=1, block=block) for weight in weights]
            )
    raise AssertionError(f"{by} is not a replacement of {node.op}")


def _with(
    architecture: Architecture,
    node: Node,
    nodes: list[Node],
    changes: Sequence[TensorChange] = (),
    calibrations: tuple[Calibration, ...] = (),
) -> _Replaced:
    """With a chain of nodes in the place of `node`."""
    return _Replaced(architecture.replaced(node.name, nodes), nodes[0].name, changes, calibrations)


def _dropped(node: Node, *parameters: str) -> list[TensorChange]:
    return [Drop(tensor=f"{node.name}.{parameter}") for parameter in parameters]


def _by_strided_conv(architecture: Architecture, pool: MaxPool) -> _Replaced:
    channels, name = architecture.input_shape(pool.name)[0], architecture.fresh_name("conv")
    conv = Conv(
        name=name, inputs=pool.inputs, channels=channels, kernel=pool.kernel, stride=pool.stride, padding=0, bias=False
    )
    shape = (channels, channels, pool.kernel, pool.kernel)
    return _with(architecture, pool, [conv], [Create(tensor=f"{name}.weight", shape=shape, fill="window_mean")])


def _by_separable_conv(architecture: Architecture, conv: Conv) -> _Replaced:
    channels = architecture.input_shape(conv.name)[0]
    first, second = architecture.fresh_names("conv", 2)
    depthwise = conv.updated(name=first, channels=channels, groups=channels, bias=False)
    pointwise = Conv(name=second, inputs=(first,), channels=conv.channels, kernel=1, bias=conv.bias)
    changes: list[TensorChange] = [
        Factorise(tensor=f"{conv.name}.weight", depthwise=f"{first}.weight", pointwise=f"{second}.weight")
    ]
    if conv.bias:
        changes.append(Rename(tensor=f"{conv.name}.bias", to=f"{second}.bias"))
    return _with(architecture, conv, [depthwise, pointwise], changes)


def _by_bias(architecture: Architecture, norm: Norm) -> _Replaced:
    """The same function by the layer before it; from now on nothing normalises."""
    layer = _layer_before(architecture, norm)
    assert layer is not None
    after = architecture.with_changed({layer.name: {"bias": True}}).without({norm.name: layer.name})
    return _Replaced(after, None, [FoldNorm(tensor=f"{layer.name}.weight", norm=norm.name, eps=norm.eps)])


def _by_batch_norm(architecture: Architecture, norm: GroupNorm) -> _Replaced:
    shape = architecture.input_shape(norm.name)[:1]
    changes = [
        Create(tensor=f"{norm.name}.{parameter}", shape=shape, fill="neutral")
        for parameter in ("running_mean", "running_var")
    ]
    batch_norm = Norm(name=norm.name, inputs=norm.inputs, eps=norm.eps)
    return _with(architecture, norm, [batch_norm], changes, (SetNorm(norm.name), KeepSpread(norm.name)))
