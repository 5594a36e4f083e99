"""What a network said about images, as data. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

_SMALLEST = 1e-12  # a probability of zero has no logarithm


def logarithms(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of probabilities, none of them infinite."""
    result: NDArray[np.float64] = np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST))
    return result


def cross_entropies(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each of N images, in nats, from probabilities (N x classes)."""
    return -logarithms(probabilities[np.arange(len(labels)), labels])


class Outputs(NamedTuple):
    """Of N images: `losses` (N, cross-entropy in nats), `probabilities` (N x classes) and `labels` (N)."""

    losses: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each image."""
        return self.probabilities.argmax(axis=1)

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Whether each image was misclassified."""
        return self.predicted != self.labels

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return float(self.losses.mean(dtype=np.float64))

    @property
    def error(self) -> float:
        """The misclassified fraction."""
        return float(self.wrong.mean())

    @property
    def balancing(self) -> NDArray[np.float64]:
        """Weights of the images with which each class that occurs has the same share of a mean."""
        counts = np.bincount(self.labels)
        weights: NDArray[np.float64] = len(self.labels) / ((counts > 0).sum() * counts[self.labels])
        return weights

    def balanced(self) -> "Outputs":
        """With losses weighted such that each class that occurs has the same share of the mean."""
        return self._replace(losses=(self.losses * self.balancing).astype(np.float32))

    @classmethod
    def joined(cls, parts: Sequence["Outputs"]) -> "Outputs":
        """What was said of several sets of images, one behind the other."""
        return cls(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def write(self, path: Path) -> None:
        """As one safetensors file."""
        path.write_bytes(safetensors.numpy.save(self._asdict()))  # Python's errors say that a disk is full

    @classmethod
    def read(cls, path: Path) -> "Outputs":
        """What `write` wrote."""
        return cls(**safetensors.numpy.load_file(path))
