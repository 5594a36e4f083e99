"""Which nodes make up a layer: a convolution, a dense layer or a sum, with what only normalises and activates it."""

from typing import NamedTuple

from modules.architecture.description import Architecture
from modules.architecture.nodes import Activation, Add, Conv, Dense, GroupNorm, Node, Norm


class Layer(NamedTuple):
    """A layer of a network; the last one, which gives the logits, is none."""

    node: str  # its convolution, dense layer or sum
    nodes: tuple[str, ...]  # that, and the normalisation and activation that alone read it, in order
    source: str | None  # what it works on; of a sum the input that the other one was made from, if one was
    is_sum: bool

    @property
    def output(self) -> str:
        """The node whose output is the layer's."""
        return self.nodes[-1]

    @property
    def compared(self) -> str:
        """The node whose output would be `source`'s if the layer did nothing."""
        return self.node if self.is_sum else self.output


def layers_of(architecture: Architecture) -> tuple[Layer, ...]:
    """The layers, in the order of their nodes."""
    layers = []
    for node in architecture.nodes[:-1]:
        if isinstance(node, Conv | Dense):
            layers.append(Layer(node.name, _chain(architecture, node), node.inputs[0], False))
        elif isinstance(node, Add):
            layers.append(Layer(node.name, _chain(architecture, node), _skipped_from(architecture, node), True))
    return tuple(layers)


def _chain(architecture: Architecture, first: Node) -> tuple[str, ...]:
    chain: list[Node] = [first]
    while len(readers := architecture.readers(chain[-1].name)) == 1:
        follower = readers[0]
        if not isinstance(follower, Norm | GroupNorm | Activation) or type(follower) in map(type, chain):
            break
        chain.append(follower)
    return tuple(node.name for node in chain)


def _skipped_from(architecture: Architecture, total: Add) -> str | None:
    first, second = total.inputs
    if first in architecture.upstream(second):
        return first
    return second if second in architecture.upstream(first) else None
