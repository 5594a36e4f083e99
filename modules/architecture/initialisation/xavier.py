"""Uniform weights that keep the variance forward and backward alike (Glorot and Bengio 2010); what Keras does."""

import math

import numpy as np
from numpy.typing import NDArray

from modules import randomness

REVISION = 1


class Xavier:
    """Uniform within `gain * sqrt(6 / (fan_in + fan_out))`."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def draw(self, shape: tuple[int, ...], seed: int, tensor: str) -> NDArray[np.float64]:
        """Weights (outputs, inputs, …) drawn by counters: an edit elsewhere changes none of them."""
        counters = np.arange(math.prod(shape), dtype=np.uint64)
        taps = math.prod(shape[2:])
        limit = self.gain * math.sqrt(6 / ((shape[0] + shape[1]) * taps))
        return limit * (2 * randomness.uniform(seed, "initialise", tensor, counters).reshape(shape) - 1)
