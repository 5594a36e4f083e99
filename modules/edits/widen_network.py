"""Give every layer more channels at once: what a single layer gains may be too little to be told from noise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from modules.architecture.channels import resizable_groups
from modules.architecture.description import Architecture
from modules.edits.changes import Array, TensorChange
from modules.edits.edit import Edited, EditKind
from modules.edits.widen_layer import WidenLayer

REVISION = 2


@dataclass(frozen=True)
class WidenNetwork:
    """Widens all layers whose number of channels is free by `factor`, as `WidenLayer` does with one."""

    kind: ClassVar[EditKind] = "exact"
    site_arguments: ClassVar[tuple[str, ...]] = ()

    factor: float = 1.5

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """The whole network, where there is more than one group of channels to widen."""
        return ({},) if len(resizable_groups(architecture)) > 1 else ()

    def apply(self, architecture: Architecture, weights: Mapping[str, Array]) -> Edited:
        """Widen one group after the other: each has tensors' dimensions of its own."""
        groups = resizable_groups(architecture)
        if not groups:
            raise ValueError("no layer of this network can be widened: the numbers of their channels are not free")
        changes: list[TensorChange] = []
        after = architecture
        for group in groups:
            widened = WidenLayer(group.makers[0], self.factor).apply(after, weights)
            after = widened.architecture
            changes += widened.changes
        description = f"widen all {len(groups)} groups of channels by {self.factor:g}"
        return Edited(after, tuple(changes), description)
