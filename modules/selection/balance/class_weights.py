"""Weighing the loss, so that a rare class counts as much as a common one."""

import numpy as np
from numpy.typing import NDArray

REVISION = 1


class ClassWeights:
    """A class of n images weighs in proportion to 1 / n ** `power`: 1 makes classes count alike, 0 images."""

    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def weights(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """What each class weighs; 1 on average over the images, so that the learning rate means what it meant."""
        raw = np.maximum(counts, 1).astype(np.float64) ** -self.power
        return raw * counts.sum() / (raw * counts).sum()

    def repeats(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Each image comes once an epoch."""
        return np.ones_like(counts)
