"""Channels of a group picked in some order, in every tensor that holds them."""

import numpy as np
from numpy.typing import NDArray

from modules.architecture.channels import ChannelGroup
from modules.edits.changes import Select

REVISION = 1


def select_channels(group: ChannelGroup, channels: NDArray[np.int64]) -> tuple[Select, ...]:
    """The changes that leave these channels of the group, in this order."""
    slots = (*group.made, *group.carried, *group.consumed)
    return tuple(Select(tensor=slot.tensor, dim=slot.dim, indices=_entries(channels, slot.repeat)) for slot in slots)


def _entries(channels: NDArray[np.int64], repeat: int) -> tuple[int, ...]:
    """The positions of these channels where each has `repeat` entries."""
    return tuple((channels[:, None] * repeat + np.arange(repeat)).ravel().tolist())
