"""What an edit is: a named change of an architecture that says what becomes of the weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from modules.architecture.description import Architecture, Conv, Dense, Norm
from modules.edits.changes import Array, TensorChange

EditKind = Literal["exact", "approximate", "lossy"]
Want = Literal["seed", "effects"]  # what `apply` can be given besides; effects: see effects.py, None without labels


@dataclass(frozen=True)
class SetNorm:
    """Take a normalisation's statistics, of the channels from `start` on, from data."""

    node: str
    start: int = 0


@dataclass(frozen=True)
class NeutralNorm:
    """Take a normalisation's statistics from data, and its scale and shift so that it gives back what it gets."""

    node: str


@dataclass(frozen=True)
class KeepMean:
    """Shift a layer's bias so that the mean of what it gives, over data, stays what it was."""

    node: str


Calibration = SetNorm | NeutralNorm | KeepMean


@dataclass(frozen=True)
class Edited:
    """What an edit made: the architecture, the changes of the tensors, what data has still to say, and a sentence."""

    architecture: Architecture
    changes: tuple[TensorChange, ...]
    description: str
    calibrations: tuple[Calibration, ...] = ()  # in the order of the nodes


class Edit(Protocol):
    """Constructed with plain arguments: where (`site_arguments`) and how strongly.

    An edit that needs more than the weights lists it in `wants`; `apply` then gets it by that name.
    """

    kind: ClassVar[EditKind]
    site_arguments: ClassVar[tuple[str, ...]]

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """The site arguments of every place where it fits."""

    def apply(self, architecture: Architecture, weights: Mapping[str, Array], **wanted: Any) -> Edited:
        """Change the architecture, whose averaged weights these are; ValueError says why it does not fit."""


def downstream_calibrations(before: Architecture, after: Architecture, first: str) -> tuple[Calibration, ...]:
    """After a change of the function that starts at node `first`: set later normalisations, keep the other means."""
    old, new = before.shapes(), after.shapes()
    found: list[Calibration] = []
    for node in after.downstream(first):
        if isinstance(node, Norm):
            found.append(SetNorm(node.name))
        elif isinstance(node, Conv | Dense) and node.bias and old.get(node.name, ())[:1] == new[node.name][:1]:
            found.append(KeepMean(node.name))
    return tuple(found)


def unmeasured(edit: Edit) -> dict[str, Any]:
    """What an edit wants, where only its architecture is asked for: any seed does, and nothing was measured."""
    anything = {"seed": 0, "effects": None}
    return {want: anything[want] for want in getattr(edit, "wants", ())}
