"""Give a layer more channels: copies of those that are used most, among whose readers the weights are divided.

The function stays, as in Net2Net (Chen et al. 2016, arXiv:1511.05641). But there copies share each weight by halves, so
that they get the same gradients and stay alike; here each weight goes to one of them, and they part at once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modules.architecture.channels import ChannelGroup, Slot, channel_multiple, group_made_by, resizable_groups, resized
from modules.architecture.description import Architecture
from modules.edits.changes import Array, Copy, Divide
from modules.edits.edit import Edited, EditKind

REVISION = 2


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
        """Append copies of channels to every tensor of the group."""
        if self.factor <= 1:
            raise ValueError(f"factor must be above 1 to widen, got {self.factor}")
        group = group_made_by(architecture, self.node)
        size = math.ceil(_widened(group.size, self.factor) / group.block) * group.block
        copied = _most_used(group, size - group.size, weights)
        changes = [
            *(Copy(tensor=slot.tensor, dim=slot.dim, indices=_entries(copied, slot)) for slot in group.made),
            *(Copy(tensor=slot.tensor, dim=slot.dim, indices=_entries(copied, slot)) for slot in group.carried),
            *(Divide(tensor=slot.tensor, dim=slot.dim, indices=_entries(copied, slot)) for slot in group.consumed),
        ]
        return Edited(
            resized(architecture, group, size),
            tuple(changes),
            f"widen {' and '.join(group.makers)} from {group.size} to {size} channels",
        )


def _widened(size: int, factor: float) -> int:
    multiple = channel_multiple(size)
    return max(size // multiple + 1, round(size * factor / multiple)) * multiple


def _most_used(group: ChannelGroup, extra: int, weights: Mapping[str, Array]) -> list[int]:
    """So many channels, in blocks of those that are normalised together: the ones whose readers weigh them most."""
    used = np.zeros(group.size)
    for slot in group.consumed:
        squares = np.moveaxis(weights[slot.tensor].astype(np.float64) ** 2, slot.dim, 0)
        used += squares.reshape(group.size, -1).sum(axis=1)
    order = np.argsort(-used.reshape(-1, group.block).sum(axis=1), kind="stable")
    blocks = np.resize(order, extra // group.block)
    return [int(block) * group.block + place for block in blocks for place in range(group.block)]


def _entries(channels: list[int], slot: Slot) -> tuple[int, ...]:
    """The entries of some channels in a tensor's dimension."""
    return tuple(channel * slot.repeat + place for channel in channels for place in range(slot.repeat))
