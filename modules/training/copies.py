"""Transformed copies of the training images, made once and kept, for recipes that do not draw anew each time."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from modules.augmentation.draws import Draws
from modules.augmentation.policy import build_policy
from modules.data.arrays import Arrays
from modules.digests import digest_of
from modules.disk import new_array
from modules.evaluation.observing import as_batch, batches_of
from modules.parts import revisions_of
from modules.randomness import words
from modules.recipe import Recipe
from modules.records import DataRecord
from modules.store import Store

REVISION = 1

_SEED = 0  # copies are part of the data: the same for all seeds of a training
_NO_PART = 255


def with_copies(
    arrays: Arrays, selected: NDArray[np.int64], recipe: Recipe, data: DataRecord, store: Store
) -> tuple[Arrays, NDArray[np.int64]]:
    """The arrays with copies of all training images behind them, and where the selected ones are with their copies.

    The copies are found in the store, or made: by the draws of as many epochs of a training.
    """
    train, number = arrays.indices("train"), recipe.augmentation_copies
    assert number is not None
    images = np.load(_folder(arrays, train, recipe, data, store) / "images.npy", mmap_mode="c")
    return enlarged(arrays, images, number), places_of_copies(arrays, selected, number)


def enlarged(arrays: Arrays, images: NDArray[Any], number: int) -> Arrays:
    """The arrays with `images` in place of theirs, behind which stand `number` copies of all training images."""
    train = arrays.indices("train")
    identities = [words(arrays.identities[train], "copy", copy) for copy in range(number)]
    return Arrays(
        images,
        np.concatenate([arrays.labels, *[arrays.labels[train]] * number]),
        np.concatenate([arrays.parts, np.full(number * len(train), _NO_PART, dtype=arrays.parts.dtype)]),
        np.concatenate([arrays.identities, *identities]),
    )


def places_of_copies(arrays: Arrays, selected: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Where the selected training images are, and behind them all their copies."""
    train = arrays.indices("train")
    places = len(arrays.images) + np.searchsorted(train, selected)
    return np.concatenate([selected, *(places + copy * len(train) for copy in range(number))])


def copy_draws(arrays: Arrays, copy: int, chosen: NDArray[np.int64]) -> Draws:
    """What the transforms of a copy of these images draw."""
    return Draws(_SEED, copy, arrays.identities[chosen])


def _folder(arrays: Arrays, train: NDArray[np.int64], recipe: Recipe, data: DataRecord, store: Store) -> Path:
    parts = [part.target.rpartition(".")[0] for part in recipe.augmentation]
    made_of = {
        "data": data.digest,
        "augmentation": [part.model_dump(mode="json") for part in recipe.augmentation],
        "mode": recipe.augmentation_mode,
        "copies": recipe.augmentation_copies,
        "revisions": revisions_of("modules.training.copies", *parts),
    }
    key = digest_of(made_of)
    entry = store.find("copies", key)
    if entry is None:
        entry = store.put("copies", key, made_of, lambda folder: _make(folder / "images.npy", arrays, train, recipe))
    return entry.folder


def _make(path: Path, arrays: Arrays, train: NDArray[np.int64], recipe: Recipe) -> None:
    number, policy = recipe.augmentation_copies or 0, build_policy(recipe.augmentation, recipe.augmentation_mode)
    originals = len(arrays.images)
    shape = (originals + number * len(train), *arrays.images.shape[1:])
    images = new_array(path, shape, np.uint8)
    for batch in batches_of(np.arange(originals)):
        images[batch] = arrays.images[batch]
    for copy in range(number):
        for batch in batches_of(np.arange(len(train))):
            chosen = train[batch]
            changed = policy(as_batch(arrays.images[chosen]), copy_draws(arrays, copy, chosen))
            images[originals + copy * len(train) + batch] = _as_pixels(changed)
    images.flush()


def _as_pixels(images: Tensor) -> NDArray[np.uint8]:
    """What `as_batch` takes."""
    pixels: NDArray[np.uint8] = (images * 255).round_().byte().permute(0, 2, 3, 1).numpy()
    return pixels
