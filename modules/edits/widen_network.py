"""Give every layer more channels at once: what a single layer gains may be too little to be told from noise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from modules.architecture.channels import resizable_groups
from modules.architecture.description import Architecture
from modules.edits.changes import Array, TensorChange
from modules.edits.edit import Calibration, Edited, EditKind
from modules.edits.widen_layer import WidenLayer

REVISION = 1


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
        """Widen one group after the other: what the later ones read then has the new channels already."""
        groups = resizable_groups(architecture)
        if not groups:
            raise ValueError("no layer of this network can be widened: the numbers of their channels are not free")
        changes: list[TensorChange] = []
        calibrations: list[Calibration] = []
        after = architecture
        for group in groups:
            widened = WidenLayer(group.makers[0], self.factor).apply(after, weights)
            after = widened.architecture
            changes += widened.changes
            calibrations += widened.calibrations
        order = [node.name for node in after.nodes]
        calibrations.sort(key=lambda calibration: order.index(calibration.node))
        description = f"widen all {len(groups)} groups of channels by {self.factor:g}"
        return Edited(after, tuple(changes), description, tuple(calibrations))
