"""Training on a random fraction of the images, chosen by their content."""

import numpy as np
from numpy.typing import NDArray

from modules.randomness import uniform

REVISION = 1


class RandomFraction:
    """Keeps about `fraction` of the images and one of each class; a larger fraction keeps what a smaller one did."""

    def __init__(self, fraction: float = 0.5, seed: int = 0) -> None:
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction is {fraction}; allowed is above 0 and up to 1")
        self.fraction = fraction
        self.seed = seed

    def __call__(self, labels: NDArray[np.int64], identities: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The indices of the images kept, in order."""
        draws = uniform("random_fraction", self.seed, identities)
        kept = draws < self.fraction
        by_class_then_draw = np.lexsort((identities, draws, labels))
        _, first_of_class = np.unique(labels[by_class_then_draw], return_index=True)
        kept[by_class_then_draw[first_of_class]] = True
        return np.flatnonzero(kept)
