"""Take the channels away that a network needs least, wherever they are: what brings it under a limit in a few steps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from modules.architecture.channels import ChannelGroup, resizable_groups, resized
from modules.architecture.description import Architecture
from modules.edits.allotting import Saving, allotted, least, most_saved
from modules.edits.changes import Array, TensorChange
from modules.edits.edit import Edited, EditKind, Want, downstream_calibrations
from modules.edits.narrow_layer import magnitude, most_important, worth_to_loss
from modules.edits.selecting import entries_left, select_blocks

REVISION = 2  # 2: by importance for cost over the whole network, instead of every layer alike

_SHARES = (0.75, 0.5)  # that are proposed
_STEPS = 10_000  # in which a share is said that leads just below a limit


@dataclass(frozen=True)
class NarrowNetwork:
    """Keeps a share of the parameters or operations: those of the channels that are worth most for what they cost."""

    kind: ClassVar[EditKind] = "lossy"
    site_arguments: ClassVar[tuple[str, ...]] = ("saving", "share")
    wants: ClassVar[tuple[Want, ...]] = ("effects",)

    saving: Saving
    share: float

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """Some shares of both, where there is more than one group to choose from and so much may go."""
        groups = resizable_groups(architecture)
        if sum(least(group) < group.size for group in groups) < 2:
            return ()
        return tuple(
            {"saving": saving, "share": share}
            for saving in get_args(Saving)
            for share in _SHARES
            if 1 - share <= most_saved(architecture, groups, saving)
        )

    @classmethod
    def sites_leaving(cls, architecture: Architecture, shares: Mapping[str, float]) -> tuple[dict[str, Any], ...]:
        """As `sites`, but so that just these shares are left, where that is no longer a step than is usual."""
        usual = cls.sites(architecture)
        longest = {site["saving"]: site["share"] for site in usual}  # shares fall
        rest = {"params": 0.0, "flops": 1 - architecture.product_flops / architecture.flops}  # may stay as it is
        asked = ((saving, _floor((share - rest[saving]) / (1 - rest[saving]))) for saving, share in shares.items())
        sites = ({"saving": saving, "share": share} for saving, share in asked if share > longest.get(saving, 1.0))
        return tuple(site for site in sites if site not in usual)

    def apply(
        self, architecture: Architecture, weights: Mapping[str, Array], effects: Mapping[str, Array] | None = None
    ) -> Edited:
        """Channels by their importance as measured before; then all normalisations and means follow, by data."""
        if self.saving not in get_args(Saving):
            raise ValueError(f"saving must be one of {', '.join(get_args(Saving))}, got {self.saving!r}")
        if not 0 < self.share < 1:
            raise ValueError(f"share must lie between 0 and 1 to narrow, got {self.share}")
        groups = resizable_groups(architecture)
        importances = _comparable(groups, weights, effects)
        sizes = allotted(architecture, groups, importances, self.share, self.saving)
        changes: list[TensorChange] = []
        left: dict[str, tuple[int, ...]] = {}
        after = architecture
        for group, values, size in zip(groups, importances, sizes, strict=True):
            if size < group.size:
                kept = most_important(group, size // group.block, values)
                changes += select_blocks(group, kept)
                after = resized(after, group, size)
                left |= entries_left(group, kept)
        first = next(node.name for node in architecture.nodes if node.name in left)
        count = sum(size < group.size for group, size in zip(groups, sizes, strict=True))
        described = (
            f"narrow {count} group{'s' if count > 1 else ''} of channels, which leaves "
            f"{after.params / architecture.params:.0%} of the parameters and "
            f"{after.flops / architecture.flops:.0%} of the operations"
        )
        return Edited(after, tuple(changes), described, downstream_calibrations(architecture, after, first, left))


def _floor(share: float) -> float:
    return math.floor(share * _STEPS) / _STEPS


def _comparable(
    groups: Sequence[ChannelGroup], weights: Mapping[str, Array], effects: Mapping[str, Array] | None
) -> list[NDArray[np.float64]]:
    """Importances of the channels of each group that can be compared between groups."""
    if effects is not None:
        worth = [worth_to_loss(group, effects) for group in groups]
        if all(np.isfinite(each).all() for each in worth) and any(each.any() for each in worth):
            return worth
    magnitudes = [magnitude(group, weights) for group in groups]
    return [each / max(each.mean(), np.finfo(float).tiny) for each in magnitudes]  # of different units otherwise
