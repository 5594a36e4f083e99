"""Normal weights that keep the variance of what passes through rectified units (He et al. 2015, arXiv:1502.01852)."""

import math

import numpy as np
from numpy.typing import NDArray

from modules import randomness

REVISION = 1


class Kaiming:
    """Standard deviation `gain / sqrt(fan_in)`; the square root of 2 suits ReLU."""

    def __init__(self, gain: float = 1.4142135623730951) -> None:
        self.gain = gain

    def draw(self, shape: tuple[int, ...], seed: int, tensor: str) -> NDArray[np.float64]:
        """Weights (outputs, inputs, …) drawn by counters: an edit elsewhere changes none of them."""
        counters = np.arange(math.prod(shape), dtype=np.uint64)
        deviation = self.gain / math.sqrt(math.prod(shape[1:]))
        return deviation * randomness.normal(seed, "initialise", tensor, counters).reshape(shape)
