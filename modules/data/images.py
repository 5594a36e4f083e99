"""What a reader hands over: images and labels as they were found, checked."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modules.errors import DataError

Pictures = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class RawImages:
    """Images (uint8, N x H x W x C) with labels (int64, N) that index `classes`, and the parts that the set brings.

    `names` are those of all images, training before validation before test, and `file` is a .npy file that holds just
    these in this order, where there is one. `left_out` are names of what was there but is no image, and why; `sizes`
    height and width of the smallest, a middle and the largest image as they were found, where they were made to fit.
    `notes` are what a person should know, a sentence each.
    """

    train_images: Pictures
    train_labels: Labels
    classes: tuple[str, ...]
    test_images: Pictures | None = None
    test_labels: Labels | None = None
    validation_images: Pictures | None = None
    validation_labels: Labels | None = None
    names: tuple[str, ...] | None = None
    left_out: tuple[tuple[str, str], ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    file: Path | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check("training", self.train_images, self.train_labels)
        self._check_given("validation", self.validation_images, self.validation_labels)
        self._check_given("test", self.test_images, self.test_labels)
        if self.names is not None and len(self.names) != sum(len(labels) for _, _, labels in self.pieces()):
            raise TypeError("a reader that names its images must name all of them")
        self._check_classes()

    def pieces(self) -> Iterator[tuple[str, Pictures, Labels]]:
        """The sets that there are, by name: train, validation, test."""
        yield "train", self.train_images, self.train_labels
        if self.validation_images is not None and self.validation_labels is not None:
            yield "validation", self.validation_images, self.validation_labels
        if self.test_images is not None and self.test_labels is not None:
            yield "test", self.test_images, self.test_labels

    def _check_given(self, which: str, images: Pictures | None, labels: Labels | None) -> None:
        if (images is None) != (labels is None):
            raise DataError(f"a {which} set needs images and labels; one of them is missing")
        if images is None or labels is None:
            return
        self._check(which, images, labels)
        if images.shape[1:] != self.train_images.shape[1:]:
            raise DataError(
                f"the {which} images are {_size(images)} and the training images {_size(self.train_images)} "
                "(height x width x channels); both must be of one size"
            )

    def _check(self, which: str, images: Pictures, labels: Labels) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or labels.dtype != np.int64 or labels.ndim != 1:
            raise TypeError(f"a reader must give uint8 images of four dimensions and int64 labels of one ({which})")
        if len(images) != len(labels):
            raise DataError(f"the {which} set has {len(images)} images and {len(labels)} labels; each image needs one")
        if len(images) == 0:
            raise DataError(f"the {which} set is empty; it needs at least two images of each class")
        if 0 in images.shape:
            raise DataError(f"the {which} images are {_size(images)} (height x width x channels); no side may be 0")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= len(self.classes):
            wrong = low if low < 0 else high
            raise DataError(f"the {which} set has the label {wrong}; allowed are 0 to {len(self.classes) - 1}")

    def _check_classes(self) -> None:
        if len(self.classes) < 2:
            raise DataError(f"there is one class, {self.classes[0]!r}; telling images apart needs at least two classes")
        for name, count in zip(self.classes, np.bincount(self.train_labels, minlength=len(self.classes)), strict=True):
            if count < 2:
                found = "no image" if count == 0 else "a single image"
                raise DataError(f"class {name!r} has {found}; each class needs at least two to be trained and judged")


def _size(images: Pictures) -> str:
    return " x ".join(str(side) for side in images.shape[1:])
