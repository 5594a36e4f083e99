"""Which fold an image belongs to, so that each is looked at by a network that was not trained on it."""

import numpy as np
from numpy.typing import NDArray

from modules.errors import DataError
from modules.randomness import words


def folds_of(groups: NDArray[np.uint64], num_folds: int, seed: int) -> NDArray[np.int64]:
    """The fold, from 0 to `num_folds` - 1, of each image: near-duplicates, which share a group, share a fold.

    It follows from the seed and the group alone, so folds are of about one size, not exactly.
    """
    return (words("fold", seed, groups) % np.uint64(num_folds)).astype(np.int64)


def filled_folds(folds: NDArray[np.int64]) -> list[int]:
    """The folds that have images; DataError where it is but one, so that none can be left out."""
    filled: list[int] = np.unique(folds).tolist()
    if len(filled) < 2:
        raise DataError(
            f"the {len(folds)} training images look so much alike that they make no two folds; allowed are more "
            "different images, or pretrained=none"
        )
    return filled
