"""Take the least important channels of a layer away."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from modules.architecture.channels import ChannelGroup, Slot, channel_multiple, group_made_by, resizable_groups, resized
from modules.architecture.description import Architecture
from modules.edits.changes import Array
from modules.edits.edit import Edited, EditKind, Want, downstream_calibrations
from modules.edits.selecting import entries_left, select_blocks, single_block

REVISION = 3


@dataclass(frozen=True)
class NarrowLayer:
    """Keeps `factor` of the channels that `node` makes, in all layers that share them."""

    kind: ClassVar[EditKind] = "lossy"
    site_arguments: ClassVar[tuple[str, ...]] = ("node",)
    wants: ClassVar[tuple[Want, ...]] = ("effects",)

    node: str
    factor: float = 0.75

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """A site for each group of at least two channels whose number is free."""
        return tuple({"node": group.makers[0]} for group in resizable_groups(architecture) if group.size > group.block)

    def apply(
        self, architecture: Architecture, weights: Mapping[str, Array], effects: Mapping[str, Array] | None = None
    ) -> Edited:
        """Select the most important ones; later normalisations and means follow, by data."""
        if not 0 < self.factor < 1:
            raise ValueError(f"factor must lie between 0 and 1 to narrow, got {self.factor}")
        group = group_made_by(architecture, self.node)
        if group.size == group.block:
            raise single_block(group, self.node, "of which nothing can be taken away")
        blocks = max(1, _narrowed(group.size, self.factor) // group.block)
        size = blocks * group.block
        after = resized(architecture, group, size)
        kept = most_important(group, blocks, importance(group, weights, effects))
        return Edited(
            after,
            select_blocks(group, kept),
            f"narrow {' and '.join(group.makers)} from {group.size} to {size} channels",
            downstream_calibrations(architecture, after, group.makers[0], entries_left(group, kept)),
        )


def _narrowed(size: int, factor: float) -> int:
    multiple = channel_multiple(size)
    return max(1, min((size - 1) // multiple, round(size * factor / multiple))) * multiple


def most_important(group: ChannelGroup, count: int, importances: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which `count` of the group's blocks of channels weigh most, in their order, by a number a channel."""
    by_block = importances.reshape(-1, group.block).sum(axis=1)
    return np.sort(np.argsort(-by_block, kind="stable")[:count])


def importance(
    group: ChannelGroup, weights: Mapping[str, Array], effects: Mapping[str, Array] | None
) -> NDArray[np.float64]:
    """A number a channel: by its effects on the loss where there are any, otherwise by its weights."""
    if effects is not None and (worth := worth_to_loss(group, effects)).any() and np.isfinite(worth).all():
        return worth
    return magnitude(group, weights)


def worth_to_loss(group: ChannelGroup, effects: Mapping[str, Array]) -> NDArray[np.float64]:
    """The mean over images of the squared effect that a channel has by way of all layers that read it."""
    total: NDArray[np.float64] = np.zeros(())
    for slot in group.consumed:
        by_entry = effects[slot.tensor.rpartition(".")[0]].astype(np.float64)
        total = total + by_entry.reshape(len(by_entry), group.size, slot.repeat).sum(axis=2)
    return np.square(total).mean(axis=0)


def magnitude(group: ChannelGroup, weights: Mapping[str, Array]) -> NDArray[np.float64]:
    """The size of what makes a channel times the size of what it weighs in later layers.

    What makes it is the scale of its normalisations, which forget the weights before them; without any, those weights.
    """
    scales = [slot for slot in group.carried if _is_scale(slot, weights)]
    entering = _magnitude(scales or group.made, group.size, weights)
    return entering * _magnitude(group.consumed, group.size, weights)


def _is_scale(slot: Slot, weights: Mapping[str, Array]) -> bool:
    return slot.tensor.endswith(".weight") and weights[slot.tensor].ndim == 1


def _magnitude(slots: tuple[Slot, ...] | list[Slot], size: int, weights: Mapping[str, Array]) -> NDArray[np.float64]:
    """The root of the sum of squares of each channel's entries, over all slots."""
    squares = np.zeros(size)
    for slot in slots:
        by_entry = np.moveaxis(weights[slot.tensor].astype(np.float64), slot.dim, 0)
        squares += np.square(by_entry.reshape(size, -1)).sum(axis=1)
    return np.sqrt(squares)
