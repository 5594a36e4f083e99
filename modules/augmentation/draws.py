"""The random numbers of one batch: each image has its own, whatever batch it is in."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from modules.randomness import uniform, words

_WORD = np.float32(2.0**-32)


@dataclass(frozen=True)
class Draws:
    """Numbers that follow from (seed, epoch, identity of the image, purpose) and from nothing else."""

    seed: int
    epoch: int | NDArray[np.uint64]  # one for all, or one for each image
    identities: NDArray[np.uint64]
    scope: str = ""
    full: bool = False  # whether every strength is the largest there is

    def uniform(self, purpose: str, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """A number in [low, high) for each image."""
        numbers = uniform(f"augmentation{self.scope}:{purpose}", self.seed, self.epoch, self.identities)
        return low + (high - low) * numbers

    def normal(self, purpose: str, count: int) -> NDArray[np.float32]:
        """Standard normal numbers (N x count), so many for each image; two of each 64 bits, as speed matters here."""
        epoch = self.epoch if isinstance(self.epoch, int) else self.epoch[:, None]
        pairs = np.arange((count + 1) // 2, dtype=np.uint64)
        bits = words(f"augmentation{self.scope}:{purpose}", self.seed, epoch, self.identities[:, None], pairs)
        halves = bits.view(np.uint32).reshape(*bits.shape, 2).astype(np.float32) * _WORD
        radius = np.sqrt(-2 * np.log(np.maximum(halves[..., 0], _WORD)))  # Box and Muller 1958
        angle = np.float32(2 * np.pi) * halves[..., 1]
        numbers = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        return numbers[:, :count]

    def up_to(self, purpose: str, limit: float) -> NDArray[np.float64]:
        """A strength in [0, limit) for each image; the limit itself where they are `full`."""
        return np.full(len(self.identities), limit) if self.full else self.uniform(purpose, 0.0, limit)

    def either_way(self, purpose: str, limit: float) -> NDArray[np.float64]:
        """A strength in [-limit, limit) for each image; one of the two ends where they are `full`."""
        numbers = self.uniform(purpose, -limit, limit)
        return np.copysign(limit, numbers) if self.full else numbers

    def of(self, chosen: NDArray[np.int64]) -> "Draws":
        """Those of some of the images."""
        epoch = self.epoch if isinstance(self.epoch, int) else self.epoch[chosen]
        return replace(self, epoch=epoch, identities=self.identities[chosen])

    def at_full_strength(self) -> "Draws":
        """The same directions, everything as strong as it may be."""
        return replace(self, full=True)

    def scoped(self, scope: str) -> "Draws":
        """The same images with other numbers."""
        return replace(self, scope=f"{self.scope}/{scope}")
