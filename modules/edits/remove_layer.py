"""Take a layer out and let what came before it through: a whole residual branch, or a layer that keeps its shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from modules.architecture.description import Architecture
from modules.architecture.nodes import Activation, Add, Conv, Dense, GroupNorm, Node, Norm
from modules.edits.changes import Array, Drop
from modules.edits.edit import Edited, EditKind, downstream_calibrations
from modules.edits.sums import branches, only_for

REVISION = 1


@dataclass(frozen=True)
class RemoveLayer:
    """Removes the branch that the sum `node` adds, or the layer `node` with its normalisation and activation."""

    kind: ClassVar[EditKind] = "lossy"
    site_arguments: ClassVar[tuple[str, ...]] = ("node",)

    node: str

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """Every node with something behind it that can be bypassed."""
        return tuple({"node": node.name} for node in architecture.nodes if _bypassed(architecture, node))

    def apply(self, architecture: Architecture, weights: Mapping[str, Array]) -> Edited:
        """Bypass it; later normalisations and means follow, by data."""
        bypass = _bypassed(architecture, architecture.node(self.node))
        if not bypass:
            places = ", ".join(site["node"] for site in self.sites(architecture))
            raise ValueError(
                f"{self.node!r} cannot be bypassed, which keeps shapes; what can be: {places or 'nothing'}"
            )
        after = architecture.without(bypass)
        dropped = tuple(Drop(tensor=name) for name in architecture.tensors() if name.rpartition(".")[0] in bypass)
        source = next(iter(bypass.values()))
        layers = [name for name in bypass if isinstance(architecture.node(name), Conv | Dense)]
        return Edited(
            after,
            dropped,
            f"remove {' and '.join(layers) or self.node} behind {source}",
            downstream_calibrations(architecture, after, source),
        )


def _bypassed(architecture: Architecture, node: Node) -> dict[str, str]:
    """The nodes that go and what is read instead of them; empty where that does not work."""
    if isinstance(node, Add) and node is not architecture.nodes[-1]:
        return _branch(architecture, node)
    if isinstance(node, Conv | Dense) and node is not architecture.nodes[-1]:
        return _layer(architecture, node)
    return {}


def _branch(architecture: Architecture, total: Add) -> dict[str, str]:
    """The sum and all that is there for its longer branch alone, if nothing else reads that."""
    longer, shorter = branches(architecture, total)
    gone = only_for(architecture, total, longer)
    return dict.fromkeys(gone, shorter) if longer in gone else {}


def _layer(architecture: Architecture, layer: Node) -> dict[str, str]:
    """The layer with the normalisation and the activation that alone read it, if they keep the shape of its input."""
    source, shapes = layer.inputs[0], architecture.shapes()
    chain: list[Node] = [layer]
    while len(readers := architecture.readers(chain[-1].name)) == 1:
        follower = readers[0]
        if not isinstance(follower, Norm | GroupNorm | Activation) or type(follower) in map(type, chain):
            break
        chain.append(follower)
    readers = architecture.readers(chain[-1].name)
    adds_itself = any(isinstance(reader, Add) and source in reader.inputs for reader in readers)
    if shapes[layer.name] != shapes[source] or adds_itself or not readers:
        return {}
    return {node.name: source for node in chain}
