"""Which channels of a whole network to give up: those the loss depends on least for what they cost.

Channels of all groups are compared with each other, each by its importance a parameter, or an operation, that goes with
it: late layers of many weights narrow far, early ones hardly (as Molchanov et al. 2019, arXiv:1906.10771, rank all
filters of a network together).
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modules.architecture.channels import ChannelGroup, channel_multiple
from modules.architecture.description import Architecture
from modules.architecture.nodes import num_elements

REVISION = 1

Saving = Literal["params", "flops"]  # trainable parameters, or operations of the matrix products

_ROUNDING = 1e-9
_LEAST = 1 / 8  # of a group's channels, which stay: first-order importances of so many together tell little


class Allotment:
    """How many channels each group has, and what the tensors that hold them then cost."""

    def __init__(self, architecture: Architecture, groups: Sequence[ChannelGroup], saving: Saving) -> None:
        self.groups = groups
        self.sizes: NDArray[np.float64] = np.array([*(group.size for group in groups), 1], dtype=np.float64)
        self._costs, self._dims = self._tensors(architecture, saving)

    def _tensors(self, architecture: Architecture, saving: Saving) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Of each tensor the cost without its groups' channels, and the groups of two dimensions."""
        none = len(self.groups)
        holders: dict[str, list[int]] = {}
        for number, group in enumerate(self.groups):
            for slot in (*group.made, *group.carried, *group.consumed):
                holders.setdefault(slot.tensor, []).append(number)
        costs, dims = [], []
        for name, spec in architecture.tensors().items():
            held = holders.get(name, [])
            uses = _uses(architecture, name, len(spec.shape)) if saving == "flops" else float(spec.trainable)
            costs.append(uses * num_elements(spec.shape) / np.prod(self.sizes[held]))
            dims.append([*held, none, none][:2])
        return np.array(costs), np.array(dims)

    @property
    def total(self) -> float:
        """The cost of all tensors."""
        return float(self._each.sum())

    @property
    def of_a_channel(self) -> NDArray[np.float64]:
        """What a channel of each group costs, by all tensors that hold it."""
        by_group = sum(np.bincount(dim, self._each, len(self.sizes)) for dim in self._dims.T)
        return np.asarray(by_group / self.sizes)[:-1]

    @property
    def _each(self) -> NDArray[np.float64]:
        return self._costs * np.prod(self.sizes[self._dims], axis=1)


def _uses(architecture: Architecture, tensor: str, num_dims: int) -> float:
    """How often each entry of a layer's weights is used for an image."""
    shape = architecture.shapes()[tensor.rpartition(".")[0]]
    return 2.0 * num_elements(shape[1:]) if num_dims > 1 else 0.0


def most_saved(architecture: Architecture, groups: Sequence[ChannelGroup], saving: Saving) -> float:
    """The share of the network's cost that goes where each group keeps the fewest channels that it may."""
    allotment = Allotment(architecture, groups, saving)
    whole = allotment.total
    allotment.sizes[:-1] = [least(group) for group in groups]
    return 1 - allotment.total / whole


def least(group: ChannelGroup) -> int:
    """The fewest channels that a group keeps."""
    fewest, size = max(group.block, math.ceil(_LEAST * group.size)), group.size
    while size - _unit(group, size) >= fewest:
        size -= _unit(group, size)
    return size


def _unit(group: ChannelGroup, size: int) -> int:
    """Channels that go together: a block, else down to the next number that processors are quick at."""
    if group.block > 1:
        return group.block
    multiple = channel_multiple(size)
    return size % multiple or multiple


def allotted(
    architecture: Architecture,
    groups: Sequence[ChannelGroup],
    importances: Sequence[NDArray[np.float64]],
    share: float,
    saving: Saving,
) -> tuple[int, ...]:
    """How many channels each group keeps so that a share of the network's cost is left.

    `importances` are those of the channels of each group, in any order. Each step takes what is worth least for its
    cost, at the sizes that are left. ValueError where so much may not go.
    """
    most = most_saved(architecture, groups, saving)
    if 1 - share > most:
        raise ValueError(f"{share:.0%} of its {saving} cannot be all that is left; at least {1 - most:.0%} stay")
    left = Allotment(architecture, groups, saving)
    goal = share * left.total * (1 + _ROUNDING)
    lost = [_lost(group, importance) for group, importance in zip(groups, importances, strict=True)]
    fewest = [least(group) for group in groups]
    while left.total > goal:
        costs = left.of_a_channel
        worth = [
            _next(group, int(size), few, losses) / cost
            for group, size, few, losses, cost in zip(groups, left.sizes[:-1], fewest, lost, costs, strict=True)
        ]
        place = int(np.argmin(worth))
        left.sizes[place] -= _unit(groups[place], int(left.sizes[place]))
    return tuple(int(size) for size in left.sizes[:-1])


def _lost(group: ChannelGroup, importance: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how many blocks went: the importance of those, the least important first."""
    by_block = np.sort(importance.reshape(-1, group.block).sum(axis=1))
    return np.concatenate([[0.0], np.cumsum(by_block)])


def _next(group: ChannelGroup, size: int, fewest: int, lost: NDArray[np.float64]) -> float:
    """The mean importance of the channels that would go next; infinite where none may."""
    unit = _unit(group, size)
    if size - unit < fewest:
        return float("inf")
    after, before = ((group.size - left) // group.block for left in (size - unit, size))
    return float(lost[after] - lost[before]) / unit
