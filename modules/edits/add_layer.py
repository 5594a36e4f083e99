"""Put a residual branch behind an activation: its last scale is zero, so that the function stays and it learns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from modules.architecture.description import Architecture
from modules.architecture.nodes import Activation, Add, Node, Norm
from modules.edits.changes import Array
from modules.edits.edit import Edited, EditKind, SetNorm
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
class AddLayer:
    """Adds `x + norm(activation(conv(x)))`, or the same with a dense layer, behind the activation `node`."""

    kind: ClassVar[EditKind] = "exact"
    site_arguments: ClassVar[tuple[str, ...]] = ("node",)

    node: str
    kernel: int = 3

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """Every activation that is not the last node."""
        return behind_activations(architecture)

    def apply(self, architecture: Architecture, weights: Mapping[str, Array]) -> Edited:
        """Insert the branch; the new normalisation's statistics come from data."""
        site = activation_at(architecture, self.node, self.sites(architecture), "a layer")
        check_kernel(self.kernel)
        nodes = layer, _, norm, _ = self._branch(architecture, site)
        after = architecture.inserted_after(site.name, nodes)
        return Edited(
            after,
            created(after, nodes, {f"{norm.name}.weight": "zero"}),
            f"add {layer.name} in a residual branch behind {site.name}",
            (SetNorm(norm.name),),
        )

    def _branch(self, architecture: Architecture, site: Activation) -> tuple[Node, ...]:
        shape = architecture.shapes()[site.name]
        layer = architecture.fresh_name(layer_stem(shape))
        activation, norm, total = (architecture.fresh_name(stem) for stem in ("activation", "norm", "add"))
        return (
            layer_of_shape(layer, site.name, shape, self.kernel),
            Activation(name=activation, inputs=(layer,), kind=site.kind),
            Norm(name=norm, inputs=(activation,)),
            Add(name=total, inputs=(site.name, norm)),
        )
