"""Put another kind of layer in the place of one, as close to it as its weights can be made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from modules.architecture.description import (
    Activation,
    ActivationKind,
    Architecture,
    AvgPool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    MaxPool,
    Node,
)
from modules.edits.changes import Array, Create, Factorise, Rename, SumBlocks, TensorChange
from modules.edits.edit import Edited, EditKind, downstream_calibrations

REVISION = 1

Replacement = Literal["relu", "gelu", "silu", "avg_pool", "strided_conv", "separable_conv", "global_pool"]

_ACTIVATIONS: tuple[ActivationKind, ...] = ("relu", "gelu", "silu")


@dataclass(frozen=True)
class ReplaceLayer:
    """Replaces `node` by another kind of layer: activations, max-pools, convolutions and flattenings have some."""

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
        """Replace it; later normalisations and means are set anew from data."""
        node = architecture.node(self.node)
        allowed = _replacements(architecture, node)
        if self.by not in allowed:
            others = ", ".join(allowed) or "nothing"
            raise ValueError(f"{node.name!r} ({node.op}) cannot be replaced by {self.by!r}; by what it can: {others}")
        nodes, changes = _replaced(architecture, node, self.by)
        after = architecture.replaced(node.name, nodes)
        return Edited(
            after,
            tuple(changes),
            f"replace {node.name} ({node.op}) by {self.by}",
            downstream_calibrations(architecture, after, nodes[0].name),
        )


def _replacements(architecture: Architecture, node: Node) -> tuple[Replacement, ...]:
    match node:
        case Activation():
            return tuple(kind for kind in _ACTIVATIONS if kind != node.kind)
        case MaxPool():
            return ("avg_pool", "strided_conv")
        case Conv() if node.groups == 1 and node.kernel > 1 and architecture.input_shape(node.name)[0] > 1:
            return ("separable_conv",)
        case Flatten() if _planes(architecture, node) > 1 and _weights_behind(architecture, node.name):
            return ("global_pool",)
        case _:
            return ()


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


def _replaced(architecture: Architecture, node: Node, by: Replacement) -> tuple[list[Node], list[TensorChange]]:
    """The nodes that come in the place of `node` and what becomes of the tensors."""
    match node, by:
        case Activation(), "relu" | "gelu" | "silu":
            return [node.updated(kind=by)], []
        case MaxPool(), "avg_pool":
            name = architecture.fresh_name("pool")
            return [AvgPool(name=name, inputs=node.inputs, kernel=node.kernel, stride=node.stride)], []
        case MaxPool(), "strided_conv":
            return _strided_conv(architecture, node)
        case Conv(), "separable_conv":
            return _separable_conv(architecture, node)
        case Flatten(), "global_pool":
            pool = GlobalPool(name=architecture.fresh_name("global"), inputs=node.inputs, kind="avg")
            block = _planes(architecture, node)
            weights = _weights_behind(architecture, node.name)
            return [pool], [SumBlocks(tensor=weight, dim=1, block=block) for weight in weights]
    raise AssertionError(f"{by} is not a replacement of {node.op}")


def _strided_conv(architecture: Architecture, pool: MaxPool) -> tuple[list[Node], list[TensorChange]]:
    channels, name = architecture.input_shape(pool.name)[0], architecture.fresh_name("conv")
    conv = Conv(
        name=name, inputs=pool.inputs, channels=channels, kernel=pool.kernel, stride=pool.stride, padding=0, bias=False
    )
    shape = (channels, channels, pool.kernel, pool.kernel)
    return [conv], [Create(tensor=f"{name}.weight", shape=shape, fill="window_mean")]


def _separable_conv(architecture: Architecture, conv: Conv) -> tuple[list[Node], list[TensorChange]]:
    channels = architecture.input_shape(conv.name)[0]
    first, second = architecture.fresh_names("conv", 2)
    depthwise = conv.updated(name=first, channels=channels, groups=channels, bias=False)
    pointwise = Conv(name=second, inputs=(first,), channels=conv.channels, kernel=1, bias=conv.bias)
    changes: list[TensorChange] = [
        Factorise(tensor=f"{conv.name}.weight", depthwise=f"{first}.weight", pointwise=f"{second}.weight")
    ]
    if conv.bias:
        changes.append(Rename(tensor=f"{conv.name}.bias", to=f"{second}.bias"))
    return [depthwise, pointwise], changes
