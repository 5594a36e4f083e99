"""Put a residual block of two convolutions (He et al. 2016, arXiv:1512.03385) behind an activation.

Its last scale is zero (Goyal et al. 2017, arXiv:1706.02677), so that the function stays and it learns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from modules.architecture.description import Architecture
from modules.architecture.nodes import Activation, Add, Node, Norm
from modules.edits.changes import Array
from modules.edits.edit import Edited, EditKind, SetNorm
from modules.edits.insertion import activation_at, behind_activations, check_kernel, created, layer_of_shape

REVISION = 1


@dataclass(frozen=True)
class AddBlock:
    """Adds `x + norm(conv(activation(norm(conv(x)))))` behind the activation `node` of an image."""

    kind: ClassVar[EditKind] = "exact"
    site_arguments: ClassVar[tuple[str, ...]] = ("node",)

    node: str
    kernel: int = 3

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """Every activation of an image; behind one of features `add_layer` does as much."""
        shapes = architecture.shapes()
        return tuple(site for site in behind_activations(architecture) if len(shapes[site["node"]]) == 3)

    def apply(self, architecture: Architecture, weights: Mapping[str, Array]) -> Edited:
        """Insert the block; the new normalisations' statistics come from data."""
        where = "an activation of an image"
        site = activation_at(architecture, self.node, self.sites(architecture), "a block", where)
        check_kernel(self.kernel)
        nodes = first, _, _, second, last, _ = self._block(architecture, site)
        after = architecture.inserted_after(site.name, nodes)
        return Edited(
            after,
            created(after, nodes, {f"{last.name}.weight": "zero"}),
            f"add a residual block of {first.name} and {second.name} behind {site.name}",
            tuple(SetNorm(node.name) for node in nodes if isinstance(node, Norm)),
        )

    def _block(self, architecture: Architecture, site: Activation) -> tuple[Node, ...]:
        shape = architecture.shapes()[site.name]
        first, second = architecture.fresh_names("conv", 2)
        inner, last = architecture.fresh_names("norm", 2)
        activation, total = architecture.fresh_name("activation"), architecture.fresh_name("add")
        return (
            layer_of_shape(first, site.name, shape, self.kernel),
            Norm(name=inner, inputs=(first,)),
            Activation(name=activation, inputs=(inner,), kind=site.kind),
            layer_of_shape(second, activation, shape, self.kernel),
            Norm(name=last, inputs=(second,)),
            Add(name=total, inputs=(site.name, last)),
        )
