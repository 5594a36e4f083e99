"""Images that lie in NumPy's files: one .npz, or a folder of .npy files, which are mapped and not read at once."""

import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modules.data.files import explained_read_errors, shown
from modules.data.images import RawImages
from modules.data.mapped import open_mapped
from modules.data.packed import PackedSet
from modules.errors import DataError

REVISION = 1

_NAMES = {  # how people call them: images and labels of each part
    "train": (("train_images", "train_labels"), ("x_train", "y_train"), ("images", "labels"), ("x", "y")),
    "validation": (
        ("validation_images", "validation_labels"),
        ("val_images", "val_labels"),
        ("x_val", "y_val"),
        ("x_validation", "y_validation"),
    ),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}
_ALLOWED = "allowed are train_images and train_labels (or x_train and y_train), the same for validation and test"
Pair = tuple[NDArray[np.uint8], NDArray[Any]]


def read_arrays(root: str | None = None) -> PackedSet:
    """Images (N x H x W, with channels last or first) and labels of one .npz or of a folder of .npy files."""
    if not root:
        raise DataError("data=arrays needs the .npz file, or the folder of .npy files: say data.root=PATH")
    path = Path(root).expanduser()
    with explained_read_errors(path):
        arrays = _Arrays(path)
    return PackedSet(arrays.paths, partial(_read, root, arrays))


def _read(root: str, arrays: "_Arrays") -> RawImages:
    found = {part: pair for part, names in _NAMES.items() if (pair := _pair(arrays, names)) is not None}
    if "train" not in found:
        raise DataError(
            f"{shown(root)} has no images to train on (it has {', '.join(sorted(arrays)) or 'none'}); {_ALLOWED}"
        )
    classes = _classes({part: labels for part, (_, labels) in found.items()})
    pieces = {part: (images, _indices(labels, classes)) for part, (images, labels) in found.items()}
    none = (None, None)
    test_images, test_labels = pieces.get("test", none)
    validation_images, validation_labels = pieces.get("validation", none)
    train_images, train_labels = pieces["train"]
    return RawImages(
        train_images=train_images,
        train_labels=train_labels,
        classes=tuple(map(str, classes)),
        test_images=test_images,
        test_labels=test_labels,
        validation_images=validation_images,
        validation_labels=validation_labels,
    )


class _Arrays(Mapping[str, NDArray[Any]]):
    """The arrays of a path by name, read when asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.is_dir():
            self._names = {file.stem: file for file in sorted(path.glob("*.npy"))}
            return
        if not path.is_file():
            raise DataError(f"data.root={shown(path)} does not exist; it must be a .npz file or a folder of .npy files")
        try:
            with explained_read_errors(path), np.load(path, allow_pickle=False) as archive:
                self._names = dict.fromkeys(archive.files, path)
        except (OSError, ValueError, AttributeError, zipfile.BadZipFile) as error:
            raise DataError(f"{shown(path)} is no sound .npz file ({error}); numpy.savez makes one") from error

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that they lie in."""
        return tuple(dict.fromkeys(self._names.values()))

    def __iter__(self) -> Any:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names  # and is not read for that

    def __getitem__(self, name: str) -> NDArray[Any]:
        file = self._names[name]
        try:
            if file.suffix == ".npy":
                return open_mapped(file)
            with np.load(file, allow_pickle=False) as archive:
                array: NDArray[Any] = archive[name]
                return array
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{name} of {shown(self._path)} cannot be read ({str(error).splitlines()[0]}); allowed are plain "
                "arrays of numbers"
            ) from error


def _pair(arrays: _Arrays, names: tuple[tuple[str, str], ...]) -> Pair | None:
    for images, labels in names:
        if images in arrays and labels in arrays:
            return pictures(images, arrays[images]), _labels(labels, arrays[labels])
        if images in arrays or labels in arrays:
            missing = labels if images in arrays else images
            raise DataError(
                f"there is no array {missing}, which {images if images in arrays else labels} needs; {_ALLOWED}"
            )
    return None


def pictures(name: str, images: NDArray[Any]) -> NDArray[np.uint8]:
    """As uint8, N x H x W x C, where channels may have come first; DataError where it is none of that."""
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        shape = " x ".join(map(str, images.shape)) or "a single number"
        raise DataError(f"{name} is {shape}; allowed are N x H x W, N x H x W x C or N x C x H x W")
    if images.dtype == np.uint8:
        return images
    if images.dtype == np.bool_:
        return images.astype(np.uint8) * np.uint8(255)
    if images.dtype == np.uint16:
        return ((images.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if images.dtype.kind == "f":
        return _from_fractions(name, images)
    raise DataError(f"{name} holds {images.dtype}; allowed are uint8, uint16, bool, and floats from 0 to 1")


def _from_fractions(name: str, images: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 0.0)
    if not 0.0 <= low <= high <= 1.0:
        raise DataError(f"{name} holds floats from {low:g} to {high:g}; allowed are floats from 0 to 1, or uint8")
    return np.rint(images * 255).astype(np.uint8)


def _labels(name: str, labels: NDArray[Any]) -> NDArray[Any]:
    """One of each image, integers or texts."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iuU":
        shape = " x ".join(map(str, labels.shape))
        raise DataError(f"{name} is {shape} of {labels.dtype}; allowed is one whole number or text for each image")
    return np.asarray(labels)


def _classes(labels: dict[str, NDArray[Any]]) -> NDArray[Any]:
    kinds = {one.dtype.kind == "U" for one in labels.values()}
    if len(kinds) > 1:
        raise DataError("the labels are texts in one part and numbers in another; allowed is one of both")
    return np.unique(np.concatenate(list(labels.values())))


def _indices(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    return np.searchsorted(classes, labels).astype(np.int64)
