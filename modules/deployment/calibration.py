"""How far a model's confidence is from how often it is right."""

import numpy as np
from numpy.typing import NDArray

_BINS = 15


def expected_calibration_error(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The mean gap between confidence and accuracy in 15 equal bins (Guo et al. 2017, arXiv:1706.04599)."""
    return calibration_of(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)


def calibration_of(confidences: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    """The same from each image's highest probability and whether its class is right."""
    return float(np.abs(gaps_of(confidences, right).mean(axis=0)).sum())


def gaps_of(confidences: NDArray[np.float32], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, bins): each image's accuracy minus its confidence in the column of its bin, so that means add up."""
    gaps = np.zeros((len(confidences), _BINS))
    bins = np.minimum((confidences * _BINS).astype(int), _BINS - 1)
    gaps[np.arange(len(bins)), bins] = right.astype(np.float64) - confidences
    return gaps
