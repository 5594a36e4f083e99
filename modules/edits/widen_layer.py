"""Give a layer more channels: random on the way in, zero on the way out, so that the function stays and they learn."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modules.architecture.channels import ChannelGroup, Slot, group_made_by, resizable_groups, resized
from modules.architecture.description import Architecture
from modules.edits.changes import Append, Array
from modules.edits.edit import Edited, EditKind, SetNorm

REVISION = 1

_BLOCK = 4  # numbers of channels are multiples of this, from twice this on: what processors are quick at


@dataclass(frozen=True)
class WidenLayer:
    """Widens all layers that share their channels with `node` by `factor`."""

    kind: ClassVar[EditKind] = "exact"
    site_arguments: ClassVar[tuple[str, ...]] = ("node",)

    node: str
    factor: float = 1.5

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """A site for each group of channels whose number is free."""
        return tuple({"node": group.makers[0]} for group in resizable_groups(architecture))

    def apply(self, architecture: Architecture, weights: Mapping[str, Array]) -> Edited:
        """Append channels to every tensor of the group."""
        if self.factor <= 1:
            raise ValueError(f"factor must be above 1 to widen, got {self.factor}")
        group = group_made_by(architecture, self.node)
        size = math.ceil(_widened(group.size, self.factor) / group.block) * group.block
        extra = size - group.size
        changes = [_entering(slot, extra, weights) for slot in (*group.made, *group.carried)]
        changes += [
            Append(tensor=slot.tensor, dim=slot.dim, count=extra * slot.repeat, fill="zero") for slot in group.consumed
        ]
        return Edited(
            resized(architecture, group, size),
            tuple(changes),
            f"widen {' and '.join(group.makers)} from {group.size} to {size} channels",
            _new_statistics(group),
        )


def _widened(size: int, factor: float) -> int:
    if size < 2 * _BLOCK:
        return max(size + 1, round(size * factor))
    return max(size // _BLOCK + 1, round(size * factor / _BLOCK)) * _BLOCK


def _entering(slot: Slot, extra: int, weights: Mapping[str, Array]) -> Append:
    """New entries on the way in: weights spread like those that are there, vectors neutral."""
    old, count = weights[slot.tensor], extra * slot.repeat
    if old.ndim == 1:
        return Append(tensor=slot.tensor, dim=0, count=count, fill="neutral")
    spread = float(old.std()) or float(1 / np.sqrt(old[0].size))
    return Append(tensor=slot.tensor, dim=0, count=count, fill="normal", std=spread)


def _new_statistics(group: ChannelGroup) -> tuple[SetNorm, ...]:
    """The normalisations that the new channels pass, in their order."""
    found = []
    for slot in group.carried:
        node, _, parameter = slot.tensor.rpartition(".")
        if parameter == "running_mean":
            found.append(SetNorm(node, group.size * slot.repeat))
    return tuple(found)
