"""What the edits that insert nodes share: the places behind activations, layers that keep a shape, new tensors."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from modules.architecture.description import Architecture
from modules.architecture.nodes import Activation, Conv, Dense, Node, Shape
from modules.edits.changes import Create, Fill

REVISION = 1


def behind_activations(architecture: Architecture) -> tuple[dict[str, Any], ...]:
    """A site for every activation that is not the last node."""
    return tuple({"node": node.name} for node in architecture.nodes[:-1] if isinstance(node, Activation))


def activation_at(
    architecture: Architecture, node: str, sites: Iterable[dict[str, Any]], what: str, where: str = "an activation"
) -> Activation:
    """The activation of that name, behind which `what` is inserted; ValueError where it is no site."""
    site, places = architecture.node(node), [place["node"] for place in sites]
    if node not in places or not isinstance(site, Activation):
        raise ValueError(
            f"{what} is added behind {where}, and {node!r} is none; there are: {', '.join(places) or 'none'}"
        )
    return site


def check_kernel(kernel: int) -> None:
    """ValueError for a kernel that cannot keep the size of its input."""
    if kernel % 2 == 0:
        raise ValueError(f"kernel must be odd, so that the branch keeps the size of its input; got {kernel}")


def layer_of_shape(name: str, source: str, shape: Shape, kernel: int = 3, bias: bool = False) -> Node:
    """A convolution or a dense layer whose output has the shape of its input."""
    if len(shape) == 3:
        return Conv(name=name, inputs=(source,), channels=shape[0], kernel=kernel, padding=kernel // 2, bias=bias)
    return Dense(name=name, inputs=(source,), units=shape[0], bias=bias)


def layer_stem(shape: Shape) -> str:
    """How a layer on inputs of that shape is called."""
    return "conv" if len(shape) == 3 else "dense"


def created(
    architecture: Architecture, nodes: Iterable[Node], fills: Mapping[str, Fill] | None = None
) -> tuple[Create, ...]:
    """All tensors of new nodes, filled as `fills` says or else: matrices drawn as for ReLU, vectors neutral."""
    names, given = {node.name for node in nodes}, fills or {}
    return tuple(
        _create(tensor, spec.shape, given.get(tensor))
        for tensor, spec in architecture.tensors().items()
        if tensor.rpartition(".")[0] in names
    )


def _create(tensor: str, shape: Shape, fill: Fill | None) -> Create:
    if len(shape) == 1:
        return Create(tensor=tensor, shape=shape, fill=fill or "neutral")
    return Create(tensor=tensor, shape=shape, fill=fill or "normal", std=math.sqrt(2 / math.prod(shape[1:])))
