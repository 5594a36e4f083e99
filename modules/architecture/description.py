"""An architecture as frozen data: a graph of named nodes that knows its shapes, its tensors and its cost.

Edits rewrite it, `modules/architecture/module.py` builds the network it describes, the ONNX export writes it down; none
of them keeps a second account of what a node is. Nothing here imports torch.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import Field, PositiveInt, PrivateAttr, model_validator

from modules.architecture.nodes import Dropout, Node, Shape, TensorSpec, num_elements
from modules.records import Record

REVISION = 1

IMAGE = "input"  # the name by which nodes refer to the image


class Architecture(Record):
    """A graph of nodes in an order in which they can be computed; the last one gives the logits."""

    image_shape: tuple[PositiveInt, PositiveInt, PositiveInt]  # channels, height, width
    num_classes: Annotated[int, Field(ge=2)]
    nodes: tuple[Node, ...]

    _shapes: dict[str, Shape] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        shapes: dict[str, Shape] = {IMAGE: self.image_shape}
        for node in self.nodes:
            if node.name in shapes:
                raise ValueError(f"two nodes are called {node.name!r}; names must differ, and {IMAGE!r} is the image")
            if unknown := [name for name in node.inputs if name not in shapes]:
                raise ValueError(
                    f"node {node.name!r} reads {unknown[0]!r}, which is none of those before it: {list(shapes)}"
                )
            if len(node.inputs) != node.num_inputs:
                raise ValueError(
                    f"node {node.name!r} ({node.op}) takes {node.num_inputs} inputs, got {len(node.inputs)}"
                )
            shapes[node.name] = node.output_shape(*(shapes[name] for name in node.inputs))
        self._shapes = shapes
        self._check_ends()
        return self

    def _check_ends(self) -> None:
        if not self.nodes or self._shapes[self.nodes[-1].name] != (self.num_classes,):
            last = self._shapes[self.nodes[-1].name] if self.nodes else "nothing"
            raise ValueError(f"the last node must give {self.num_classes} logits, one a class; it gives {last}")
        read = {name for node in self.nodes for name in node.inputs}
        if idle := [node.name for node in self.nodes[:-1] if node.name not in read]:
            raise ValueError(f"node {idle[0]!r} is read by no other node; only the last one may be")

    def shapes(self) -> dict[str, Shape]:
        """The output shape of every node, and of the image, without the batch."""
        return dict(self._shapes)

    def live_values(self) -> int:
        """How many values of an image are held at once, at most: what is yet to be read, and what it is made into."""
        last = {name: number for number, node in enumerate(self.nodes) for name in node.inputs}
        live, most = {IMAGE}, 0
        for number, node in enumerate(self.nodes):
            live.add(node.name)
            most = max(most, sum(num_elements(self._shapes[name]) for name in live))
            live = {name for name in live if last.get(name, 0) > number}
        return most

    def input_shape(self, name: str) -> Shape:
        """The shape of a node's (first) input."""
        return self._shapes[self.node(name).inputs[0]]

    def tensors(self) -> dict[str, TensorSpec]:
        """Every tensor of the network's state as `<node>.<parameter>`, in the order of the nodes."""
        return {
            f"{node.name}.{parameter}": spec
            for node in self.nodes
            for parameter, spec in node.tensors(self._shapes[node.inputs[0]]).items()
        }

    @property
    def dropout(self) -> float:
        """The rate at which it drops while training; 0 where it does not."""
        return max((node.rate for node in self.nodes if isinstance(node, Dropout)), default=0.0)

    @property
    def params(self) -> int:
        """The number of trainable parameters."""
        return sum(num_elements(spec.shape) for spec in self.tensors().values() if spec.trainable)

    @property
    def product_flops(self) -> int:
        """Operations of the matrix products alone, one image, forward."""
        return sum(node.product_flops(self._shapes[node.inputs[0]], self._shapes[node.name]) for node in self.nodes)

    @property
    def flops(self) -> int:
        """Operations for one image, forward, a multiplication and an addition counted as two."""
        elements = sum(node.element_flops(self._shapes[node.inputs[0]], self._shapes[node.name]) for node in self.nodes)
        return self.product_flops + elements

    def node(self, name: str) -> Node:
        """The node of that name; ValueError where there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise ValueError(f"there is no node {name!r}; there are {', '.join(node.name for node in self.nodes)}")

    def readers(self, name: str) -> tuple[Node, ...]:
        """The nodes that read the output of `name`."""
        return tuple(node for node in self.nodes if name in node.inputs)

    def downstream(self, *names: str) -> tuple[Node, ...]:
        """All nodes that any of some has an influence on, in order; one of those only if another has."""
        reached, behind = set(names), []
        for node in self.nodes:
            if reached.intersection(node.inputs):
                reached.add(node.name)
                behind.append(node)
        return tuple(behind)

    def upstream(self, name: str) -> frozenset[str]:
        """The names of all nodes that have an influence on `name`, of the image and its own."""
        reached = {name}
        for node in reversed(self.nodes):
            if node.name in reached:
                reached.update(node.inputs)
        return frozenset(reached)

    def cuts(self) -> tuple[str, ...]:
        """The nodes that everything later goes through: with their output alone the rest can be computed."""
        found, read_later = [], {name: number for number, node in enumerate(self.nodes) for name in node.inputs}
        furthest = read_later[IMAGE]  # the last node that reads anything from before
        for number, node in enumerate(self.nodes[:-1]):
            if furthest <= number:
                found.append(node.name)
            furthest = max(furthest, read_later[node.name])
        return tuple(found)

    def fresh_name(self, stem: str) -> str:
        """`stem` with the first number above all that are taken."""
        return self.fresh_names(stem, 1)[0]

    def fresh_names(self, stem: str, count: int) -> tuple[str, ...]:
        """`stem` with the first numbers above all that are taken."""
        numbers = [int(match[1]) for node in self.nodes if (match := re.fullmatch(rf"{stem}(\d+)", node.name))]
        first = max(numbers, default=0) + 1
        return tuple(f"{stem}{number}" for number in range(first, first + count))

    def inserted_after(self, name: str, nodes: Iterable[Node]) -> "Architecture":
        """With a chain of nodes put behind `name`: whatever read `name` now reads the last of them."""
        chain = list(nodes)
        result: list[Node] = [*chain] if name == IMAGE else []
        for node in self.nodes:
            result.append(_reading(node, {name: chain[-1].name}))
            if node.name == name:
                result.extend(chain)
        return self.updated(nodes=tuple(result))

    def replaced(self, name: str, nodes: Iterable[Node]) -> "Architecture":
        """With a chain of nodes in the place of `name`: whatever read `name` now reads the last of them."""
        chain = list(nodes)
        result: list[Node] = []
        for node in self.nodes:
            result.extend(chain if node.name == name else [_reading(node, {name: chain[-1].name})])
        return self.updated(nodes=tuple(result))

    def without(self, bypassed: Mapping[str, str]) -> "Architecture":
        """Without the nodes that are keys: whatever read one of them now reads the value."""
        kept = (node for node in self.nodes if node.name not in bypassed)
        return self.updated(nodes=tuple(_reading(node, bypassed) for node in kept))

    def with_changed(self, changes: Mapping[str, Mapping[str, Any]]) -> "Architecture":
        """With some fields of some nodes changed, by node name."""
        nodes = (node.updated(**changes[node.name]) if node.name in changes else node for node in self.nodes)
        return self.updated(nodes=tuple(nodes))


def _reading(node: Node, renamed: Mapping[str, str]) -> Node:
    inputs = tuple(renamed.get(name, name) for name in node.inputs)
    return node if inputs == node.inputs else node.updated(inputs=inputs)
