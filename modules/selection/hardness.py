"""How hard an image is to learn, by two scores, and the part of the images that is kept by it."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray


def el2n(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """The length of each error vector, averaged over networks (Paul, Ganguli, Dziugaite 2021, arXiv:2107.07075).

    `probabilities`: networks x N x classes. Between 0, right and sure of it, and the square root of 2.
    """
    errors = probabilities.astype(np.float64)
    errors[:, np.arange(len(labels)), labels] -= 1.0
    return np.sqrt((errors**2).sum(axis=2)).mean(axis=0)


def forgetting(right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How often each image was forgotten: right at one look, wrong at the next (Toneva et al. 2019, arXiv:1812.05159).

    `right`: looks x N, in the order of training. An image that was never right counts as forgotten at every look.
    """
    counts = (right[:-1] & ~right[1:]).sum(axis=0).astype(np.float64)
    counts[~right.any(axis=0)] = len(right)
    return counts


def keep_by_score(
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    ties: NDArray[np.float64],
    fraction: float,
    end: Literal["hard", "easy"],
) -> NDArray[np.int64]:
    """The indices, in order, of the `fraction` with the highest (hard) or lowest scores of each class, at least one.

    Within a class, so that pruning leaves the classes' shares as they were. `ties` decides between equal scores.
    """
    counts = np.maximum(1, np.rint(fraction * np.bincount(labels))).astype(np.int64)
    return lowest_of_each_class(-scores if end == "hard" else scores, labels, ties, counts)


def lowest_of_each_class(
    values: NDArray[np.float64], labels: NDArray[np.int64], ties: NDArray[np.float64], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The indices, in order, of the `counts[label]` images of each class with the lowest values."""
    kept = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = members[np.lexsort((ties[members], values[members]))]
        kept[order[: counts[label]]] = True
    return np.flatnonzero(kept)
