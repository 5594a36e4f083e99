"""A placebo: a branch that adds nothing and, as its ReLU lets no gradient through, never will."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from modules.architecture.description import Architecture
from modules.architecture.nodes import Activation, Add, Node
from modules.edits.changes import Array, Assign
from modules.edits.edit import Edited, EditKind
from modules.edits.insertion import activation_at, behind_activations, created, layer_of_shape, layer_stem

REVISION = 1

_SILENT = -1e6  # a bias that no input outweighs, also after weight decay has shrunk it for long


@dataclass(frozen=True)
class PlaceboBranch:
    """Adds `x + relu(conv(x))`, or the same with a dense layer, behind the activation `node`, where relu gives 0."""

    kind: ClassVar[EditKind] = "exact"
    site_arguments: ClassVar[tuple[str, ...]] = ("node",)

    node: str

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """Every activation that is not the last node."""
        return behind_activations(architecture)

    def apply(self, architecture: Architecture, weights: Mapping[str, Array]) -> Edited:
        """Insert the branch."""
        site = activation_at(architecture, self.node, self.sites(architecture), "a silent branch")
        nodes = layer, _, _ = self._branch(architecture, site)
        after = architecture.inserted_after(site.name, nodes)
        size = after.tensors()[f"{layer.name}.bias"].shape[0]
        silence = Assign(tensor=f"{layer.name}.bias", start=0, values=(_SILENT,) * size)
        return Edited(after, (*created(after, nodes), silence), f"add a silent branch behind {site.name} (a placebo)")

    def _branch(self, architecture: Architecture, site: Activation) -> tuple[Node, ...]:
        shape = architecture.shapes()[site.name]
        layer = architecture.fresh_name(layer_stem(shape))
        activation, total = architecture.fresh_name("activation"), architecture.fresh_name("add")
        return (
            layer_of_shape(layer, site.name, shape, bias=True),
            Activation(name=activation, inputs=(layer,), kind="relu"),
            Add(name=total, inputs=(site.name, activation)),
        )
