"""Folders with the four IDX files of MNIST and the sets made after it, gzipped or not.

The format is a big-endian header (two zero bytes, the type 8 for unsigned bytes, the number of dimensions, then each
dimension as four bytes) and the bytes themselves.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modules.data.images import RawImages
from modules.errors import DataError

_UNSIGNED_BYTE = 8
_SPLITS = {"train": "train", "test": "t10k"}

_DIGITS = tuple("0123456789")
_ARTICLES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def read_mnist(root: str | None = None) -> RawImages:
    """MNIST's handwritten digits, 28 x 28 (LeCun, Cortes, Burges 1998)."""
    return _read_folder(root, "mnist", _DIGITS)


def read_fashion_mnist(root: str | None = None) -> RawImages:
    """Fashion-MNIST's articles, 28 x 28 (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747)."""
    return _read_folder(root, "fashion_mnist", _ARTICLES)


def _read_folder(root: str | None, name: str, classes: tuple[str, ...]) -> RawImages:
    if not root:
        raise DataError(f"data={name} needs the folder with its four IDX files: say data.root=DIR")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        found = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(f"data.root={root} {found}; it must be the folder with the four IDX files of {name}")
    train_images, train_labels = _read_split(folder, "train")
    test_images, test_labels = _read_split(folder, "test")
    return RawImages(train_images, train_labels, classes, test_images, test_labels)


def _read_split(folder: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images_path = _find(folder, f"{_SPLITS[split]}-images-idx3-ubyte")
    labels_path = _find(folder, f"{_SPLITS[split]}-labels-idx1-ubyte")
    images = read_idx(images_path, num_dimensions=3)
    labels = read_idx(labels_path, num_dimensions=1)
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} holds {len(images)} images and {labels_path} {len(labels)} labels; each image needs one"
        )
    return images[..., None], labels.astype(np.int64)


def _find(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise DataError(f"{folder} has neither {name}.gz nor {name}; all four IDX files must be there")


def read_idx(path: Path, num_dimensions: int) -> NDArray[np.uint8]:
    """The array of unsigned bytes in one IDX file; DataError for a file that is damaged or holds something else."""
    content = _content(path)
    header_size = 4 + 4 * num_dimensions
    magic = bytes((0, 0, _UNSIGNED_BYTE, num_dimensions))
    if content[:4] != magic:
        raise DataError(
            f"{path} begins with {content[:4].hex() or 'nothing'}; an IDX file of bytes in {num_dimensions} dimensions "
            f"begins with {magic.hex()}"
        )
    if len(content) < header_size:
        raise DataError(f"{path} ends within its header, after {len(content)} of {header_size} bytes")
    shape = struct.unpack(f">{num_dimensions}I", content[4:header_size])
    expected = math.prod(shape)
    if len(content) - header_size != expected:
        raise DataError(
            f"{path} holds {len(content) - header_size} bytes of data where its header promises {expected} "
            f"({' x '.join(map(str, shape))}); it is incomplete or damaged"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header_size).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                return file.read()
        return path.read_bytes()
    except EOFError:
        raise DataError(f"{path} is cut off: the gzip file ends too early; copy or download it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is not a sound gzip file ({error}); copy or download it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
