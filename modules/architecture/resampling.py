"""Interpolation as a matrix: what pixels of another size are made of."""

import math

import numpy as np
from numpy.typing import NDArray

REVISION = 1


def resampling_matrix(source: int, target: int) -> NDArray[np.float64]:
    """The shares (target x source) of `source` pixels in each of `target`: a triangle filter, rows add up to 1.

    It reaches as far as a pixel of whichever size is the larger, as in Pillow's bilinear resampling; pixels that it
    would need from beyond the edge are left out.
    """
    scale = source / target
    reach = max(1.0, scale)
    centres = (np.arange(target) + 0.5) * scale
    offsets = (np.arange(source) + 0.5)[None, :] - centres[:, None]
    shares = np.maximum(0.0, 1.0 - np.abs(offsets) / reach)
    if math.isclose(scale, 1.0):
        return np.eye(source)
    total: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
    return total
