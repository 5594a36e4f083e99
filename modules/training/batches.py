"""The order in which images are seen, and the batches that are made of them.

Training sees an endless stream of images: epoch after epoch, each a permutation that follows from the seed, the epoch
and the images' identities alone. A batch is a piece of that stream, whole also across the border of two epochs, so
that the order does not depend on the batch size, which may change at any update.
"""

import sys
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from modules.augmentation.drawn import Transform
from modules.augmentation.draws import Draws
from modules.data.arrays import Arrays
from modules.evaluation.observing import as_batch
from modules.occurrences import occurrences
from modules.randomness import words

REVISION = 2

_COPY_BITS = np.uint64(32)  # no training has so many epochs that they would reach them
_MOST_AT_ONCE = 2_048  # images; more at once is no faster and only takes memory

Piece = tuple[Tensor, Tensor]  # images (float32, N x C x H x W) and labels, or the shares of each class (N x classes)


class Stream:
    """The endless order of the images at `indices` for a seed.

    An image that is there several times has a place of its own each time.
    """

    def __init__(self, indices: NDArray[np.int64], identities: NDArray[np.uint64], seed: int) -> None:
        self.indices = indices
        self._identities = identities[indices]
        self._copies = occurrences(indices)
        self._seed = seed
        self._orders: dict[int, NDArray[np.int64]] = {}

    def piece(self, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """The indices at positions `first` to `first + count` of the stream, and the epoch of each.

        A copy of an image is of another epoch, as far as its draws are concerned.
        """
        positions = np.arange(first, first + count)
        epochs, places = np.divmod(positions, len(self.indices))
        chosen = np.empty(count, dtype=np.int64)  # places in `indices`
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            here = epochs == epoch
            chosen[here] = self._order(epoch)[places[here]]
        return self.indices[chosen], epochs.astype(np.uint64) + (self._copies[chosen] << _COPY_BITS)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            self._orders = {known: order for known, order in self._orders.items() if known == epoch - 1}
            ranks = words(self._seed, "order", epoch, self._identities)
            again = self._copies > 0
            ranks[again] = words(self._seed, "order", epoch, self._identities[again], self._copies[again])
            self._orders[epoch] = np.argsort(ranks, kind="stable")
        return self._orders[epoch]


class Mixing(Protocol):
    """Makes each image of a batch out of several."""

    def __call__(self, images: Tensor, targets: Tensor, draws: Draws) -> Piece:
        """Mixed images and the shares (N x classes) of what they show."""


class Batch:
    """The images of one update, made piece by piece, so that memory holds no more than a piece.

    `size` counts those of all processes that train together; the batch itself has the images of this one.
    """

    def __init__(self, data: "TrainingData", size: int, indices: NDArray[np.int64], epochs: NDArray[np.uint64]) -> None:
        self.size = size
        self._data = data
        self._indices = indices
        self._epochs = epochs

    def __len__(self) -> int:
        return len(self._indices)

    def share(self, rank: int, world_size: int) -> "Batch":
        """What one of several processes has of it: every `world_size`-th image."""
        return Batch(self._data, self.size, self._indices[rank::world_size], self._epochs[rank::world_size])

    def __iter__(self) -> Iterator[Piece]:
        size = self._data.most_at_once or _MOST_AT_ONCE
        for first in range(0, len(self), size):
            here = slice(first, first + size)
            yield self._data.piece(self._indices[here], self._epochs[here])


class TrainingData(pl.LightningDataModule):
    """Augmented batches from the stream, without end; `cursor` is the position of the next one.

    Of several processes that train together, each trains on its share of a batch.
    """

    def __init__(
        self,
        arrays: Arrays,
        indices: NDArray[np.int64],
        policy: Transform,
        *,
        mixing: Mixing | None,
        seed: int,
        batch_size: int,
        first_sample: int,
        most_at_once: int | None = None,
    ) -> None:
        super().__init__()
        self.arrays = arrays
        self.stream = Stream(indices, arrays.identities, seed)
        self.policy = policy
        self.mixing = mixing
        self.seed = seed
        self.batch_size = batch_size
        self.cursor = first_sample
        self.most_at_once = most_at_once
        self.rank = 0
        self.world_size = 1

    def train_dataloader(self) -> "TrainingData":
        """Itself: whole batches are indexed, nothing is collated."""
        return self

    def __len__(self) -> int:
        # More than anyone trains. With a length, Lightning takes no batch ahead of the update that may change its size.
        return sys.maxsize

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self.next_batch()

    def next_batch(self) -> Batch:
        """This process's share of the next images."""
        batch = self.upcoming(self.batch_size)
        self.cursor += self.batch_size
        return batch.share(self.rank, self.world_size)

    def upcoming(self, count: int, skip: int = 0) -> Batch:
        """The `count` images that come after the next `skip` ones, whole; the cursor stays where it is."""
        return Batch(self, count, *self.stream.piece(self.cursor + skip, count))

    def piece(self, indices: NDArray[np.int64], epochs: NDArray[np.uint64]) -> Piece:
        """Images in [0, 1], augmented, and what they show."""
        draws = Draws(self.seed, epochs, self.arrays.identities[indices])
        images = self.policy(as_batch(self.arrays.images[indices]), draws)
        labels = torch.from_numpy(self.arrays.labels[indices])
        if self.mixing is None:
            return images, labels
        return self.mixing(images, nn.functional.one_hot(labels, self.num_classes).float(), draws)

    @property
    def num_classes(self) -> int:
        """Of the data set."""
        return int(self.arrays.labels.max()) + 1
