"""What a reader hands over: images and labels as they were found, checked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modules.errors import DataError


@dataclass(frozen=True)
class RawImages:
    """Images (uint8, N x H x W x C) with labels (int64, N) that index `classes`; the test set where one is given."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    classes: tuple[str, ...]
    test_images: NDArray[np.uint8] | None = None
    test_labels: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        self._check("training", self.train_images, self.train_labels)
        if (self.test_images is None) != (self.test_labels is None):
            raise DataError("a test set needs images and labels; one of them is missing")
        if self.test_images is not None and self.test_labels is not None:
            self._check("test", self.test_images, self.test_labels)
            if self.test_images.shape[1:] != self.train_images.shape[1:]:
                raise DataError(
                    f"the test images are {_size(self.test_images)} and the training images {_size(self.train_images)} "
                    "(height x width x channels); both must be of one size"
                )
        self._check_classes()

    def _check(self, which: str, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
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


def _size(images: NDArray[np.uint8]) -> str:
    return " x ".join(str(side) for side in images.shape[1:])
