"""Lead a skip around layers that are there: `y + norm(x)` with a scale of zero, so that the function stays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from modules.architecture.description import Architecture
from modules.architecture.nodes import Activation, Add, AvgPool, Conv, Dense, GroupNorm, MaxPool, Node, Norm
from modules.edits.changes import Array
from modules.edits.edit import Edited, EditKind, SetNorm
from modules.edits.insertion import created

REVISION = 1

_LONGEST = 3  # layers that a skip leads around at most


@dataclass(frozen=True)
class AddSkip:
    """Adds a normalisation of what `source` gives to what `node`, of the same shape, gives."""

    kind: ClassVar[EditKind] = "exact"
    site_arguments: ClassVar[tuple[str, ...]] = ("source", "node")

    source: str
    node: str

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """Pairs of an activation, a pool or a sum and a later normalisation or activation that no sum joins yet."""
        return tuple(
            {"source": source.name, "node": node.name}
            for source in architecture.nodes
            for node in _ends(architecture, source)
        )

    def apply(self, architecture: Architecture, weights: Mapping[str, Array]) -> Edited:
        """Insert the sum; the new normalisation's statistics come from data."""
        source, end = architecture.node(self.source), architecture.node(self.node)
        ends = _ends(architecture, source)
        if end not in ends:
            names = ", ".join(node.name for node in ends) or "nothing"
            raise ValueError(f"no skip leads from {source.name!r} to {end.name!r}; from there one can lead to: {names}")
        norm, total = architecture.fresh_name("norm"), architecture.fresh_name("add")
        nodes = (Norm(name=norm, inputs=(source.name,)), Add(name=total, inputs=(end.name, norm)))
        after = architecture.inserted_after(end.name, nodes)
        changes = created(after, nodes, {f"{norm}.weight": "zero"})
        return Edited(after, changes, f"add a skip from {source.name} to {end.name}", (SetNorm(norm),))


def _ends(architecture: Architecture, source: Node) -> list[Node]:
    """The nodes that a skip can lead to from `source`."""
    if not isinstance(source, Activation | MaxPool | AvgPool | Add):
        return []
    away, shapes = _layers_between(architecture, source.name), architecture.shapes()
    return [
        node
        for node in architecture.nodes[:-1]
        if isinstance(node, Norm | GroupNorm | Activation)
        and 1 <= away.get(node.name, 0) <= _LONGEST
        and shapes[node.name] == shapes[source.name]
        and not _joined(architecture, away, node)
    ]


def _joined(architecture: Architecture, away: Mapping[str, int], node: Node) -> bool:
    """Whether a sum gets both what is `away` and `node` without a layer in between."""
    behind = _layers_between(architecture, node.name)
    return any(
        isinstance(total, Add) and away.get(total.name) == 0 == behind.get(total.name) for total in architecture.nodes
    )


def _layers_between(architecture: Architecture, start: str) -> dict[str, int]:
    """For each node behind `start`: how many convolutions and dense layers the shortest way to it has, its own too."""
    away = {start: 0}
    for node in architecture.nodes:
        if nearest := [away[name] for name in node.inputs if name in away]:
            away[node.name] = min(nearest) + isinstance(node, Conv | Dense)
    return away
