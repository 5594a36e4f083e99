"""Orthogonal weights, which keep lengths and angles (Saxe et al. 2014, arXiv:1312.6120)."""

import math

import numpy as np
from numpy.typing import NDArray

from modules import randomness

REVISION = 1


class Orthogonal:
    """`gain` times a random matrix (outputs, the rest) whose rows, or columns where they are fewer, are orthonormal."""

    def __init__(self, gain: float = 1.4142135623730951) -> None:
        self.gain = gain

    def draw(self, shape: tuple[int, ...], seed: int, tensor: str) -> NDArray[np.float64]:
        """Weights (outputs, inputs, …) drawn by counters: an edit elsewhere changes none of them."""
        counters = np.arange(math.prod(shape), dtype=np.uint64)
        matrix = randomness.normal(seed, "initialise", tensor, counters).reshape(shape[0], -1)
        tall = matrix if len(matrix) >= matrix.shape[1] else matrix.T
        columns, triangle = np.linalg.qr(tall)
        columns = columns * np.sign(np.diag(triangle))  # only then are all orthogonal matrices equally likely
        return self.gain * (columns if tall is matrix else columns.T).reshape(shape)
