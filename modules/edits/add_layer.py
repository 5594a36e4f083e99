"""Put a residual branch behind an activation: its last scale is zero, so that the function stays and it learns."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from modules.architecture.description import Activation, Add, Architecture, Conv, Dense, Node, Norm
from modules.edits.changes import Array, Create, Fill
from modules.edits.edit import Edited, EditKind, SetNorm

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
        return tuple({"node": node.name} for node in architecture.nodes[:-1] if isinstance(node, Activation))

    def apply(self, architecture: Architecture, weights: Mapping[str, Array]) -> Edited:
        """Insert the branch; the new normalisation's statistics come from data."""
        site = architecture.node(self.node)
        if {"node": self.node} not in self.sites(architecture) or not isinstance(site, Activation):
            places = ", ".join(place["node"] for place in self.sites(architecture))
            raise ValueError(f"a layer is added behind an activation, and {self.node!r} is none; there are: {places}")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that the branch keeps the size of its input; got {self.kernel}")
        layer, norm, nodes = self._branch(architecture, site)
        after = architecture.inserted_after(site.name, nodes)
        specs = after.tensors()
        fan_in = math.prod(specs[f"{layer}.weight"].shape[1:])
        fills: dict[str, Fill] = {f"{layer}.weight": "normal", f"{norm}.weight": "zero"}
        new = (name for name in specs if name.rpartition(".")[0] in (layer, norm))
        changes = tuple(
            Create(tensor=name, shape=specs[name].shape, fill=fills.get(name, "neutral"), std=math.sqrt(2 / fan_in))
            for name in new
        )
        return Edited(after, changes, f"add {layer} in a residual branch behind {site.name}", (SetNorm(norm),))

    def _branch(self, architecture: Architecture, site: Activation) -> tuple[str, str, list[Node]]:
        """The names of the layer and of its normalisation, and all nodes."""
        shape = architecture.shapes()[site.name]
        layer = architecture.fresh_name("conv" if len(shape) == 3 else "dense")
        activation, norm, total = (architecture.fresh_name(stem) for stem in ("activation", "norm", "add"))
        first: Node = (
            Conv(
                name=layer,
                inputs=(site.name,),
                channels=shape[0],
                kernel=self.kernel,
                padding=self.kernel // 2,
                bias=False,
            )
            if len(shape) == 3
            else Dense(name=layer, inputs=(site.name,), units=shape[0], bias=False)
        )
        return (
            layer,
            norm,
            [
                first,
                Activation(name=activation, inputs=(layer,), kind=site.kind),
                Norm(name=norm, inputs=(activation,)),
                Add(name=total, inputs=(site.name, norm)),
            ],
        )
