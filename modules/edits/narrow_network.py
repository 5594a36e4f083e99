"""Take the least important channels of every layer away at once: what brings a network under a limit in a few steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modules.architecture.channels import ChannelGroup, channel_multiple, resizable_groups, resized
from modules.architecture.description import Architecture
from modules.architecture.nodes import Conv, Dense, Norm
from modules.edits.changes import Array, TensorChange
from modules.edits.edit import Calibration, Edited, EditKind, KeepMean, SetNorm, Want
from modules.edits.narrow_layer import most_important
from modules.edits.selecting import select_blocks

REVISION = 1

_SHARES = (0.85, 0.7, 0.5)  # that are proposed: some 72, 50 and 25 % of the parameters are left


@dataclass(frozen=True)
class NarrowNetwork:
    """Keeps `share` of the channels in each group whose number is free, those that `NarrowLayer` would keep."""

    kind: ClassVar[EditKind] = "lossy"
    site_arguments: ClassVar[tuple[str, ...]] = ("share",)
    wants: ClassVar[tuple[Want, ...]] = ("effects",)

    share: float

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """Some shares, where more than one group gets narrower by them."""
        groups = resizable_groups(architecture)
        return tuple({"share": share} for share in _SHARES if len(_narrowed(groups, share)) > 1)

    def apply(
        self, architecture: Architecture, weights: Mapping[str, Array], effects: Mapping[str, Array] | None = None
    ) -> Edited:
        """Each group by its own importance, all as measured before; then all normalisations and means from data."""
        if not 0 < self.share < 1:
            raise ValueError(f"share must lie between 0 and 1 to narrow, got {self.share}")
        narrowed = _narrowed(resizable_groups(architecture), self.share)
        if not narrowed:
            raise ValueError(f"no layer of this network gets narrower when {self.share:.0%} of its channels are kept")
        changes: list[TensorChange] = []
        left: dict[str, tuple[int, ...]] = {}
        after = architecture
        for group, blocks in narrowed:
            kept = most_important(group, blocks, weights, effects)
            changes += select_blocks(group, kept)
            after = resized(after, group, blocks * group.block)
            channels = (kept[:, None] * group.block + np.arange(group.block)).ravel()
            left |= dict.fromkeys((*group.makers, *group.filters), tuple(channels.tolist()))
        described = f"narrow {len(narrowed)} groups of channels to {self.share:.0%}"
        return Edited(after, tuple(changes), described, _calibrations(architecture, left))


def _narrowed(groups: tuple[ChannelGroup, ...], share: float) -> list[tuple[ChannelGroup, int]]:
    """The groups of which something goes, and how many blocks of channels each keeps."""
    kept = [(group, max(1, _kept(group.size, share) // group.block)) for group in groups]
    return [(group, blocks) for group, blocks in kept if blocks * group.block < group.size]


def _kept(size: int, share: float) -> int:
    multiple = channel_multiple(size)
    return max(1, round(size * share / multiple)) * multiple


def _calibrations(architecture: Architecture, left: Mapping[str, tuple[int, ...]]) -> tuple[Calibration, ...]:
    """From the first narrowed layer on: set the normalisations, keep the mean of each channel that is left."""
    found: list[Calibration] = []
    first = next(number for number, node in enumerate(architecture.nodes) if node.name in left)
    for node in architecture.nodes[first:]:
        if isinstance(node, Norm):
            found.append(SetNorm(node.name))
        elif isinstance(node, Conv | Dense) and node.bias:
            found.append(KeepMean(node.name, left.get(node.name)))
    return tuple(found)
