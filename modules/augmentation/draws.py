"""The random numbers of one batch: each image has its own, whatever batch it is in."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from modules.randomness import uniform


@dataclass(frozen=True)
class Draws:
    """Numbers that follow from (seed, epoch, identity of the image, purpose) and from nothing else."""

    seed: int
    epoch: int | NDArray[np.uint64]  # one for all, or one for each image
    identities: NDArray[np.uint64]
    scope: str = ""

    def uniform(self, purpose: str, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """A number in [low, high) for each image."""
        numbers = uniform(f"augmentation{self.scope}:{purpose}", self.seed, self.epoch, self.identities)
        return low + (high - low) * numbers

    def scoped(self, scope: str) -> "Draws":
        """The same images with other numbers."""
        return replace(self, scope=f"{self.scope}/{scope}")
