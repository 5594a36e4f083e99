"""Put a layer that does nothing yet behind a ReLU (Chen et al. 2016, arXiv:1511.05641): it starts as the identity.

ReLU is idempotent, so that a second one changes nothing. No noise is needed for the weights to learn apart: in an
identity every output reads an input of its own, so that there are no twins with the same gradient.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from modules.architecture.description import Architecture
from modules.architecture.nodes import Activation, Node, Norm
from modules.edits.changes import Array
from modules.edits.edit import Edited, EditKind, NeutralNorm
from modules.edits.insertion import (
    activation_at,
    behind_activations,
    check_kernel,
    created,
    layer_of_shape,
    layer_stem,
)

REVISION = 1


@dataclass(frozen=True)
class DeepenLayer:
    """Inserts `relu(norm(conv(x)))`, or the same with a dense layer, behind the ReLU `node`: no branch, on the path."""

    kind: ClassVar[EditKind] = "exact"
    site_arguments: ClassVar[tuple[str, ...]] = ("node",)

    node: str
    kernel: int = 3

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """Every ReLU that is not the last node; twice SiLU or GELU is not the same as once."""
        return tuple(site for site in behind_activations(architecture) if _is_relu(architecture.node(site["node"])))

    def apply(self, architecture: Architecture, weights: Mapping[str, Array]) -> Edited:
        """Insert the layer; the normalisation's statistics come from data, its scale and shift undo them."""
        site = activation_at(architecture, self.node, self.sites(architecture), "a layer on the path", "a ReLU")
        check_kernel(self.kernel)
        nodes = layer, norm, _ = self._chain(architecture, site)
        after = architecture.inserted_after(site.name, nodes)
        return Edited(
            after,
            created(after, nodes, {f"{layer.name}.weight": "identity"}),
            f"deepen {site.name} by {layer.name}",
            (NeutralNorm(norm.name),),
        )

    def _chain(self, architecture: Architecture, site: Activation) -> tuple[Node, ...]:
        shape = architecture.shapes()[site.name]
        layer = architecture.fresh_name(layer_stem(shape))
        norm, activation = (architecture.fresh_name(stem) for stem in ("norm", "activation"))
        return (
            layer_of_shape(layer, site.name, shape, self.kernel),
            Norm(name=norm, inputs=(layer,)),
            Activation(name=activation, inputs=(norm,), kind="relu"),
        )


def _is_relu(node: Node) -> bool:
    return isinstance(node, Activation) and node.kind == "relu"
