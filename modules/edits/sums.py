"""What a sum adds: its longer and its shorter branch, and the nodes that are there for one of them alone."""

from typing import NamedTuple

from modules.architecture.description import Architecture
from modules.architecture.nodes import Add, Conv, Dense

REVISION = 1


class Branches(NamedTuple):
    """The ends of a sum's two branches."""

    longer: str
    shorter: str


def branches(architecture: Architecture, total: Add) -> Branches:
    """Which of a sum's inputs has more layers (then: more nodes) that the other one has not; else the second."""
    first, second = total.inputs
    longer = max(second, first, key=lambda end: _length(architecture, end, first if end == second else second))
    return Branches(longer, first if longer == second else second)


def _length(architecture: Architecture, end: str, other: str) -> tuple[int, int]:
    own = architecture.upstream(end) - architecture.upstream(other)
    return sum(isinstance(node, Conv | Dense) for node in architecture.nodes if node.name in own), len(own)


def only_for(architecture: Architecture, total: Add, end: str) -> tuple[str, ...]:
    """The sum and the nodes that nothing would read without its branch that ends with `end`, in their order."""
    other = next((name for name in total.inputs if name != end), end)
    gone = {total.name}
    for node in reversed(architecture.nodes[:-1]):
        if node.name != other and {reader.name for reader in architecture.readers(node.name)} <= gone:
            gone.add(node.name)
    return tuple(node.name for node in architecture.nodes if node.name in gone)
