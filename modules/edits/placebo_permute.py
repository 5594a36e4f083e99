"""A placebo: the channels of a layer in another order. What it seems to do is what noise does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modules.architecture.channels import group_made_by, resizable_groups
from modules.architecture.description import Architecture
from modules.edits.changes import Array
from modules.edits.edit import Edited, EditKind, Want
from modules.edits.selecting import select_channels
from modules.randomness import uniform

REVISION = 1


@dataclass(frozen=True)
class PlaceboPermute:
    """Permutes the channels that `node` makes, in all layers that share them, at random."""

    kind: ClassVar[EditKind] = "exact"
    site_arguments: ClassVar[tuple[str, ...]] = ("node",)
    wants: ClassVar[tuple[Want, ...]] = ("seed",)

    node: str

    @classmethod
    def sites(cls, architecture: Architecture) -> tuple[dict[str, Any], ...]:
        """A site for each group of at least two channels that are not the image's or the classes."""
        return tuple({"node": group.makers[0]} for group in resizable_groups(architecture) if group.size > 1)

    def apply(self, architecture: Architecture, weights: Mapping[str, Array], seed: int) -> Edited:
        """Select all channels in a random order."""
        group = group_made_by(architecture, self.node)
        if group.size < 2:
            raise ValueError(f"{self.node!r} has a single channel, of which there is one order")
        luck = uniform(seed, "permute", self.node, np.arange(group.size, dtype=np.uint64))
        order = np.argsort(luck, kind="stable")
        return Edited(architecture, select_channels(group, order), f"permute the channels of {self.node} (a placebo)")
