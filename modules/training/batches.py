"""The order in which images are seen, and the batches that are made of them.

Training sees an endless stream of images: epoch after epoch, each a permutation that follows from the seed, the epoch
and the images' identities alone. A batch is a piece of that stream, whole also across the border of two epochs, so
that the order does not depend on the batch size.
"""

from collections.abc import Iterator

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from modules.augmentation.draws import Draws
from modules.augmentation.policy import Policy
from modules.data.arrays import Arrays
from modules.evaluation.observing import as_batch
from modules.randomness import words

REVISION = 1

Batch = tuple[Tensor, Tensor]


class Stream:
    """The endless order of the images at `indices` for a seed."""

    def __init__(self, indices: NDArray[np.int64], identities: NDArray[np.uint64], seed: int) -> None:
        self.indices = indices
        self._identities = identities[indices]
        self._seed = seed
        self._orders: dict[int, NDArray[np.int64]] = {}

    def piece(self, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """The indices at positions `first` to `first + count` of the stream, and the epoch of each."""
        positions = np.arange(first, first + count)
        epochs, places = np.divmod(positions, len(self.indices))
        chosen = np.empty(count, dtype=np.int64)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            here = epochs == epoch
            chosen[here] = self._order(epoch)[places[here]]
        return chosen, epochs.astype(np.uint64)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            self._orders = {known: order for known, order in self._orders.items() if known == epoch - 1}
            ranks = words(self._seed, "order", epoch, self._identities)
            self._orders[epoch] = self.indices[np.argsort(ranks, kind="stable")]
        return self._orders[epoch]


class TrainingData(pl.LightningDataModule):
    """Augmented batches from the stream; `cursor` is the position of the next one."""

    def __init__(
        self,
        arrays: Arrays,
        indices: NDArray[np.int64],
        policy: Policy,
        seed: int,
        batch_size: int,
        first_sample: int,
        batches_per_epoch: int,
    ) -> None:
        super().__init__()
        self.arrays = arrays
        self.stream = Stream(indices, arrays.identities, seed)
        self.policy = policy
        self.seed = seed
        self.batch_size = batch_size
        self.cursor = first_sample
        self.batches_per_epoch = batches_per_epoch

    def train_dataloader(self) -> "TrainingData":
        """Itself: whole batches are indexed, nothing is collated."""
        return self

    def __len__(self) -> int:
        return self.batches_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self.batches_per_epoch):
            yield self.next_batch()

    def next_batch(self) -> Batch:
        """The next images (float32, N x C x H x W, in [0, 1], augmented) and their labels."""
        chosen, epochs = self.stream.piece(self.cursor, self.batch_size)
        self.cursor += self.batch_size
        images = as_batch(self.arrays.images[chosen])
        draws = Draws(self.seed, epochs, self.arrays.identities[chosen])
        return self.policy(images, draws), torch.from_numpy(self.arrays.labels[chosen])
