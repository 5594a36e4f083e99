"""Showing images of rare classes more often, each time augmented anew."""

import numpy as np
from numpy.typing import NDArray

REVISION = 1


class Oversampling:
    """Images of a class of n come (largest class / n) ** `power` times an epoch, rounded: 1 makes classes alike."""

    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def weights(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Each class weighs 1."""
        return np.ones(len(counts))

    def repeats(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """How often an image of each class comes in an epoch."""
        return np.rint((counts.max() / np.maximum(counts, 1)) ** self.power).astype(np.int64)
