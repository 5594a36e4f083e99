"""Give a convolution a wider window: the new border of its weights is zero, so that the function stays as it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from modules.architecture.description import Architecture
from modules.architecture.nodes import Conv, Node
from modules.edits.changes import Array, Pad
from modules.edits.edit import Edited, EditKind

REVISION = 1

_LARGEST = 5  # a kernel that is still raised


@dataclass(frozen=True)
class RaiseKernel:
    """Raises the kernel of the convolution `node` by two and its padding by one."""

    kind: ClassVar[EditKind] = "exact"
    site_arguments: ClassVar[tuple[str, ...]] = ("node",)

    node: str

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """Every convolution with a small kernel, depthwise ones too, on planes that the new one fits into."""
        return tuple({"node": node.name} for node in architecture.nodes if _fits(architecture, node))

    def apply(self, architecture: Architecture, weights: Mapping[str, Array]) -> Edited:
        """Pad the weights with zeros."""
        conv = architecture.node(self.node)
        if not isinstance(conv, Conv) or not _fits(architecture, conv):
            places = ", ".join(place["node"] for place in self.sites(architecture)) or "none"
            raise ValueError(
                f"{self.node!r} is no convolution with a kernel of at most {_LARGEST} and planes for a larger one; "
                f"there are: {places}"
            )
        kernel = conv.kernel + 2
        return Edited(
            architecture.with_changed({conv.name: {"kernel": kernel, "padding": conv.padding + 1}}),
            (Pad(tensor=f"{conv.name}.weight", width=1),),
            f"raise the kernel of {conv.name} from {conv.kernel} to {kernel}",
        )


def _fits(architecture: Architecture, node: Node) -> bool:
    if not isinstance(node, Conv) or node.kernel > _LARGEST:
        return False
    return min(architecture.input_shape(node.name)[1:]) >= node.kernel + 2
