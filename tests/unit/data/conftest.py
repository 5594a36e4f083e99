import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Write = Callable[..., Path]


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_file(path: Path, content: bytes, zipped: bool = True) -> None:
    if zipped:
        path = path.with_name(path.name + ".gz")
        content = gzip.compress(content)
    path.write_bytes(content)


@pytest.fixture
def write_idx(tmp_path: Path) -> Write:
    """Writes the four files of a small set of ten classes; arrays given by name replace the random ones."""

    def write(
        num_train: int = 200, num_test: int = 40, side: int = 6, zipped: bool = True, **given: NDArray[np.uint8]
    ) -> Path:
        random = np.random.default_rng(0)
        arrays = {
            "train_images": random.integers(0, 256, (num_train, side, side)),
            "train_labels": np.arange(num_train) % 10,
            "test_images": random.integers(0, 256, (num_test, side, side)),
            "test_labels": np.arange(num_test) % 10,
        } | given
        folder = tmp_path / "idx"
        folder.mkdir(exist_ok=True)
        for split, prefix in (("train", "train"), ("test", "t10k")):
            images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
            write_file(folder / f"{prefix}-images-idx3-ubyte", idx_bytes(images), zipped)
            write_file(folder / f"{prefix}-labels-idx1-ubyte", idx_bytes(labels), zipped)
        return folder

    return write
