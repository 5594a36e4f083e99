"""IDX files, the format of MNIST and of the sets made after it: folders of them, gzipped or not.

The format is a big-endian header (two zero bytes, the type 8 for unsigned bytes, the number of dimensions, then each
dimension as four bytes) and the bytes themselves.
"""

import gzip
import math
import re
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modules.data.array_files import pictures
from modules.data.files import check_folder, explained_read_errors, shown
from modules.data.images import RawImages
from modules.data.packed import PackedSet
from modules.errors import DataError

REVISION = 2  # 2: channels may come first

_UNSIGNED_BYTE = 8
_PARTS = {"train": r"train", "validation": r"val", "test": r"test|t10k"}
Pair = tuple[Path, Path]  # of images and labels


def read_idx_folder(root: str | None = None) -> PackedSet:
    """A folder of IDX files: images and labels of train, perhaps of val and of test (or t10k), told by their names."""
    if not root:
        raise DataError("data=idx needs the folder with its IDX files: say data.root=DIR")
    folder = Path(root).expanduser()
    with explained_read_errors(folder):
        return _read_folder(folder)


def _read_folder(folder: Path) -> PackedSet:
    check_folder(folder, "a folder with IDX files")
    pairs = {part: pair for part, pattern in _PARTS.items() if (pair := _find_part(folder, pattern)) is not None}
    if "train" not in pairs:
        raise DataError(
            f"{shown(folder)} has no file of training images; allowed are names such as train-images-idx3-ubyte.gz "
            "and train-labels-idx1-ubyte.gz, the same with val and test"
        )
    return PackedSet(tuple(path for pair in pairs.values() for path in pair), partial(_read, pairs))


def _read(pairs: dict[str, Pair]) -> RawImages:
    given = {part: read_pair(*pair) for part, pair in pairs.items()}
    most = max(int(labels.max(initial=0)) for _, labels in given.values())
    none = (None, None)
    test_images, test_labels = given.get("test", none)
    validation_images, validation_labels = given.get("validation", none)
    return RawImages(
        *given["train"],
        classes=tuple(map(str, range(most + 1))),
        test_images=test_images,
        test_labels=test_labels,
        validation_images=validation_images,
        validation_labels=validation_labels,
    )


def _find_part(folder: Path, pattern: str) -> Pair | None:
    """The files of images and labels of a part, where there are any."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    mine = [path for path in files if re.match(pattern, path.name.lower())]
    paths = [[path for path in mine if kind in path.name.lower()] for kind in ("images", "labels")]
    if not any(paths):
        return None
    for kind, found in zip(("images", "labels"), paths, strict=True):
        if len(found) != 1:
            listed = ", ".join(shown(path.name) for path in found) or "none"
            raise DataError(f"{shown(folder)} must have one file of {kind} for {pattern}; it has {listed}")
    return paths[0][0], paths[1][0]


def find_pair(folder: Path, prefix: str) -> Pair:
    """The files of images and labels of one of the usual prefixes, train or t10k."""
    return _find(folder, f"{prefix}-images-idx3-ubyte"), _find(folder, f"{prefix}-labels-idx1-ubyte")


def read_pair(images_path: Path, labels_path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N x H x W x C) and the label of each; in a file of four dimensions channels may come first or last."""
    images, labels = read_idx(images_path, 3, 4), read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} holds {len(images)} images and {labels_path} {len(labels)} labels; each image needs one"
        )
    return pictures(str(images_path), images), labels.astype(np.int64)


def _find(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise DataError(f"{folder} has neither {name}.gz nor {name}; all four IDX files must be there")


def read_idx(path: Path, *num_dimensions: int) -> NDArray[np.uint8]:
    """The array of unsigned bytes in one IDX file; DataError for a file that is damaged or holds something else."""
    content = _content(path)
    magics = {bytes((0, 0, _UNSIGNED_BYTE, number)): number for number in num_dimensions}
    if content[:4] not in magics:
        raise DataError(
            f"{path} begins with {content[:4].hex() or 'nothing'}; an IDX file of bytes in "
            f"{' or '.join(map(str, num_dimensions))} dimensions begins with {' or '.join(m.hex() for m in magics)}"
        )
    header_size = 4 + 4 * magics[content[:4]]
    if len(content) < header_size:
        raise DataError(f"{path} ends within its header, after {len(content)} of {header_size} bytes")
    shape = struct.unpack(f">{magics[content[:4]]}I", content[4:header_size])
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
