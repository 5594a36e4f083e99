"""What an edit is: a named change of an architecture that says what becomes of the weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from modules.architecture.description import Architecture
from modules.architecture.nodes import Conv, Dense, Norm
from modules.edits.changes import Array, TensorChange

EditKind = Literal["exact", "approximate", "lossy"]
Want = Literal["seed", "effects"]  # what `apply` can be given besides; effects: see effects.py, None without labels


@dataclass(frozen=True)
class SetNorm:
    """Take a normalisation's statistics from data."""

    node: str


@dataclass(frozen=True)
class FollowNorm:
    """Change a normalisation's statistics by as much as an edit before it changes, over data, those of what it gets.

    They may be of other data than these: published ones are, which the weights behind them were trained by. `channels`
    are those of its channels that are left, where some went.
    """

    node: str
    channels: tuple[int, ...] | None = None


@dataclass(frozen=True)
class NeutralNorm:
    """Take a normalisation's statistics from data, and its scale and shift so that it gives back what it gets."""

    node: str


@dataclass(frozen=True)
class KeepMean:
    """Shift a layer's bias so that the mean of what it gives, over data, stays what it was.

    `channels` are those of its channels that are left, where some went.
    """

    node: str
    channels: tuple[int, ...] | None = None


@dataclass(frozen=True)
class KeepSpread:
    """Scale and shift what a normalisation gives so that the mean and the deviation of each channel stay."""

    node: str


Calibration = SetNorm | FollowNorm | NeutralNorm | KeepMean | KeepSpread


@dataclass(frozen=True)
class Edited:
    """What an edit made: the architecture, the changes of the tensors, what data has still to say, and a sentence."""

    architecture: Architecture
    changes: tuple[TensorChange, ...]
    description: str
    calibrations: tuple[Calibration, ...] = ()  # in the order of the nodes


class Edit(Protocol):
    """Constructed with plain arguments: where (`site_arguments`) and how strongly.

    An edit that needs more than the weights lists it in `wants`; `apply` then gets it by that name. One that can go as
    far as it is asked has `sites_leaving(architecture, shares)` besides `sites`: those that leave just such shares of
    the parameters ("params") or operations ("flops").
    """

    kind: ClassVar[EditKind]
    site_arguments: ClassVar[tuple[str, ...]]

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """The site arguments of every place where it fits."""

    def apply(self, architecture: Architecture, weights: Mapping[str, Array], **wanted: Any) -> Edited:
        """Change the architecture, whose averaged weights these are; ValueError says why it does not fit."""


def downstream_calibrations(
    before: Architecture, after: Architecture, first: str, left: Mapping[str, tuple[int, ...]] | None = None
) -> tuple[Calibration, ...]:
    """After a change of the function that starts at node `first`: what keeps means and spreads behind it.

    `left` are the channels of each node that lost some, behind which the function changes as well. What else has
    another number of channels than before, or is new, has nothing to keep: its normalisation is set.
    """
    old, new, left = before.shapes(), after.shapes(), left or {}
    found: list[Calibration] = []
    for node in after.downstream(first, *left):
        comparable = node.name in left or old.get(node.name, ())[:1] == new[node.name][:1]
        if isinstance(node, Norm):
            found.append(FollowNorm(node.name, left.get(node.name)) if comparable else SetNorm(node.name))
        elif isinstance(node, Conv | Dense) and node.bias and comparable:
            found.append(KeepMean(node.name, left.get(node.name)))
    return tuple(found)


def apply_to(
    edit: Edit,
    architecture: Architecture,
    weights: Mapping[str, Array],
    seed: int,
    effects: Callable[[], Mapping[str, Array]] | None = None,
) -> Edited:
    """What an edit makes of an architecture, given all that it wants; effects are only measured for those that do."""
    given: dict[Want, Callable[[], Any]] = {"seed": lambda: seed, "effects": effects or (lambda: None)}
    return edit.apply(architecture, weights, **{want: given[want]() for want in getattr(edit, "wants", ())})
