"""Channels of a group picked in some order, in every tensor that holds them."""

import numpy as np
from numpy.typing import NDArray

from modules.architecture.channels import ChannelGroup
from modules.edits.changes import Select

REVISION = 1


def select_blocks(group: ChannelGroup, blocks: NDArray[np.int64]) -> tuple[Select, ...]:
    """The changes that leave these blocks of the group's channels, in this order; mostly a block is one channel."""
    return tuple(
        Select(tensor=slot.tensor, dim=slot.dim, indices=_entries(blocks, group.block * slot.repeat))
        for slot in (*group.made, *group.carried, *group.consumed)
    )


def entries_left(group: ChannelGroup, blocks: NDArray[np.int64]) -> dict[str, tuple[int, ...]]:
    """Of each node with tensors that makes or carries these channels, the entries that these blocks are."""
    return {
        slot.tensor.rpartition(".")[0]: _entries(blocks, group.block * slot.repeat)
        for slot in (*group.made, *group.carried)
    }


def _entries(blocks: NDArray[np.int64], length: int) -> tuple[int, ...]:
    """The positions of these blocks where each has `length` entries."""
    return tuple((blocks[:, None] * length + np.arange(length)).ravel().tolist())


def single_block(group: ChannelGroup, node: str, what: str) -> ValueError:
    """Why an edit cannot choose among the channels of a group that are a single block."""
    if group.block == 1:
        return ValueError(f"{node!r} has a single channel, {what}")
    return ValueError(f"the {group.size} channels of {node!r} are normalised together, {what}")
