"""Training on every image."""

import numpy as np
from numpy.typing import NDArray

REVISION = 1


class KeepAll:
    """Selects every training image."""

    def __call__(self, labels: NDArray[np.int64], identities: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The indices of all images."""
        return np.arange(len(labels), dtype=np.int64)
