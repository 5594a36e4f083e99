"""Counting what stands several times in a list."""

import numpy as np
from numpy.typing import NDArray


def occurrences(indices: NDArray[np.int64]) -> NDArray[np.uint64]:
    """How often each index stands before itself."""
    order = np.argsort(indices, kind="stable")
    _, starts, counts = np.unique(indices[order], return_index=True, return_counts=True)
    found = np.empty(len(indices), dtype=np.uint64)
    found[order] = np.arange(len(indices)) - np.repeat(starts, counts)
    return found
