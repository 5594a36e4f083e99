"""Let a sum be its longer branch alone: the way around that branch goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from modules.architecture.description import Architecture
from modules.architecture.nodes import Add
from modules.edits.changes import Array, Drop
from modules.edits.edit import Edited, EditKind, downstream_calibrations
from modules.edits.sums import branches, only_for

REVISION = 1


@dataclass(frozen=True)
class RemoveSkip:
    """Removes the shorter branch that the sum `node` adds, and the sum."""

    kind: ClassVar[EditKind] = "lossy"
    site_arguments: ClassVar[tuple[str, ...]] = ("node",)

    node: str

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """Every sum that is not the last node."""
        return tuple({"node": node.name} for node in architecture.nodes[:-1] if isinstance(node, Add))

    def apply(self, architecture: Architecture, weights: Mapping[str, Array]) -> Edited:
        """Bypass it; later normalisations and means follow, by data."""
        total = architecture.node(self.node)
        if {"node": self.node} not in self.sites(architecture) or not isinstance(total, Add):
            places = ", ".join(site["node"] for site in self.sites(architecture)) or "none"
            raise ValueError(f"a skip ends in a sum, and {self.node!r} is none; there are: {places}")
        longer, shorter = branches(architecture, total)
        gone = only_for(architecture, total, shorter)
        after = architecture.without(dict.fromkeys(gone, longer))
        return Edited(
            after,
            tuple(Drop(tensor=name) for name in architecture.tensors() if name.rpartition(".")[0] in gone),
            f"remove the skip from {shorter} to {longer}",
            downstream_calibrations(architecture, after, longer),
        )
