"""Folders with the four IDX files of a data set, with a share of its training images or with other labels."""

import shutil
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modules.data.idx import read_idx

_IMAGES, _LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def read_share(root: Path, share: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The first of the training images, and their labels."""
    images = read_idx(_file(root, _IMAGES), 3)
    labels = read_idx(_file(root, _LABELS), 1)
    num = round(share * len(images))
    return images[:num], labels[:num]


def write_folder(folder: Path, root: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Path:
    """These training images, with the test set of `root`; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in root.glob("t10k-*"):
        shutil.copyfile(file, folder / file.name)
    for name, array in ((_IMAGES, images), (_LABELS, labels)):
        header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        (folder / name).write_bytes(header + array.tobytes())
    return folder


def _file(root: Path, name: str) -> Path:
    return next((path for path in (root / f"{name}.gz", root / name) if path.exists()), root / name)
