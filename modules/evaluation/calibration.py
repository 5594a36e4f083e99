"""How far a model's confidence is from how often it is right: the expected calibration error.

The mean gap between confidence and accuracy in 15 bins of equal width (Guo et al. 2017, arXiv:1706.04599).
"""

import numpy as np
from numpy.typing import NDArray

BINS = 15


def calibration_error(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Of probabilities (N x classes)."""
    return calibration_of(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)


def calibration_of(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """The same from each image's highest probability and whether its class is right."""
    return float(np.abs(gaps_of(confidences, right).mean(axis=0)).sum())


def gaps_of(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, bins): each image's accuracy minus its confidence in the column of its bin, so that means add up."""
    gaps = np.zeros((len(confidences), BINS))
    gaps[np.arange(len(gaps)), bins_of(confidences)] = right.astype(np.float64) - confidences
    return gaps


def bins_of(confidences: NDArray[np.floating]) -> NDArray[np.int64]:
    """The bin that each confidence lies in."""
    bins: NDArray[np.int64] = np.minimum((confidences * BINS).astype(np.int64), BINS - 1)
    return bins
