"""Crop a convolution's window to its centre."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeGuard

from modules.architecture.description import Architecture
from modules.architecture.nodes import Conv, Node
from modules.edits.changes import Array, Crop
from modules.edits.edit import Calibration, Edited, EditKind, KeepMean, downstream_calibrations

REVISION = 1


@dataclass(frozen=True)
class LowerKernel:
    """Lowers the kernel of the convolution `node` by two and its padding by one."""

    kind: ClassVar[EditKind] = "lossy"
    site_arguments: ClassVar[tuple[str, ...]] = ("node",)

    node: str

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """Every padded convolution with a kernel of at least 3."""
        return tuple({"node": node.name} for node in architecture.nodes if _fits(node))

    def apply(self, architecture: Architecture, weights: Mapping[str, Array]) -> Edited:
        """Crop the weights; the convolution's mean, later normalisations and means follow, by data."""
        conv = architecture.node(self.node)
        if not _fits(conv):
            places = ", ".join(place["node"] for place in self.sites(architecture)) or "none"
            raise ValueError(f"{self.node!r} is no padded convolution with a kernel above 2; there are: {places}")
        kernel = conv.kernel - 2
        after = architecture.with_changed({conv.name: {"kernel": kernel, "padding": conv.padding - 1}})
        own: tuple[Calibration, ...] = (KeepMean(conv.name),) if conv.bias else ()
        return Edited(
            after,
            (Crop(tensor=f"{conv.name}.weight", width=1),),
            f"lower the kernel of {conv.name} from {conv.kernel} to {kernel}",
            (*own, *downstream_calibrations(architecture, after, conv.name)),
        )


def _fits(node: Node) -> TypeGuard[Conv]:
    return isinstance(node, Conv) and node.kernel >= 3 and node.padding >= 1
