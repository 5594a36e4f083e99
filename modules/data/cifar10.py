"""CIFAR-10's 60,000 colour images of 32 x 32 (Krizhevsky 2009): from image files or from its binary version.

The binary version is six files of records: a byte for the label and 3 x 32 x 32 bytes, channel by channel.
"""

import tarfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modules.data.archive import ENDINGS, Archive
from modules.data.download import Remote, download_folder, fetch
from modules.data.files import FileSet, check_folder, explained_read_errors, shown
from modules.data.folder import read_class_folders
from modules.data.images import RawImages
from modules.data.packed import PackedSet
from modules.errors import DataError

REVISION = 1

_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_SHAPE = (3, 32, 32)
_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST = ("test_batch.bin",)
_ARCHIVE = "cifar-10-binary.tar.gz"
_UNSOUND = (tarfile.TarError, EOFError, OSError, zlib.error)  # what reading a damaged archive raises
_REMOTE = Remote("https://www.cs.toronto.edu/~kriz/", ((_ARCHIVE, "c32a1d4ab5d03f1284b67883e8d87530"),))


def read_cifar10(root: str | None = None, download: bool = False) -> FileSet | PackedSet | Archive:
    """The images with the test set that they bring, from a folder or an archive of either kind."""
    path = Path(root).expanduser() if root else _at_hand(download)
    with explained_read_errors(path):
        return _read(path)


def _read(path: Path) -> FileSet | PackedSet | Archive:
    if path.is_file() and path.name.endswith(ENDINGS):
        return _open_archive(path)
    check_folder(path, f"a folder or one of {', '.join(ENDINGS)}")
    binary = path if (path / _TEST[0]).is_file() else path / "cifar-10-batches-bin"
    if binary.is_dir() and any((binary / name).is_file() for name in (*_TRAIN, *_TEST)):
        return PackedSet(tuple(binary / name for name in (*_TRAIN, *_TEST)), partial(_read_records, binary))
    if (path / "train").is_dir() and (path / "test").is_dir():
        parts = {given: path / given for given in ("train", "test")}
        return read_class_folders(path, parts, image_size=_SHAPE[1], channels=_SHAPE[0], classes=_CLASSES)
    archives = sorted(inner for inner in path.iterdir() if inner.name.endswith(ENDINGS))
    if len(archives) == 1:
        return _open_archive(archives[0])
    raise DataError(
        f"data.root={shown(path)} holds no CIFAR-10; allowed are {_TRAIN[0]} and the other five files of its binary "
        "version, the folders train and test with a folder of image files for each class, or an archive of these"
    )


def _at_hand(download: bool) -> Path:
    if download:
        return fetch("cifar10", _REMOTE)
    folder = download_folder("cifar10")
    if (folder / _ARCHIVE).is_file():
        return folder
    raise DataError(
        "data=cifar10 needs the folder with its images: say data.root=DIR, or data.download=true to fetch them from "
        f"{_REMOTE.address}"
    )


def _open_archive(path: Path) -> PackedSet | Archive:
    try:
        with explained_read_errors(path), tarfile.open(path) as tar:
            found = {Path(first.name).name for first in [tar.next(), tar.next()] if first is not None}
    except _UNSOUND as error:
        raise _unsound(path, error) from error
    if found & {"cifar-10-batches-bin", *_TRAIN, *_TEST, "batches.meta.txt"}:
        return PackedSet((path,), partial(_read_archive, path))
    return Archive(path, _CLASSES, image_size=_SHAPE[1], channels=_SHAPE[0])


def _read_archive(path: Path) -> RawImages:
    try:
        with explained_read_errors(path), tarfile.open(path) as tar:
            contents = {
                Path(member.name).name: file.read()
                for member in tar.getmembers()
                if Path(member.name).name in (*_TRAIN, *_TEST) and (file := tar.extractfile(member)) is not None
            }
    except _UNSOUND as error:
        raise _unsound(path, error) from error
    if missing := sorted({*_TRAIN, *_TEST} - set(contents)):
        raise DataError(f"{shown(path)} has no {missing[0]}; all six files of the binary version must be in it")
    return _from_records(contents, path)


def _unsound(path: Path, error: Exception) -> DataError:
    return DataError(f"{shown(path)} is no sound archive ({error}); copy or download it again")


def _read_records(folder: Path) -> RawImages:
    return _from_records({name: _content(folder / name) for name in (*_TRAIN, *_TEST)}, folder)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{shown(path)} cannot be read: {error.strerror or error}; all six files must be there"
        ) from error


def _from_records(contents: dict[str, bytes], where: Path) -> RawImages:
    train, test = ([_records(contents[name], f"{shown(where)}: {name}") for name in names] for names in (_TRAIN, _TEST))
    return RawImages(
        train_images=np.concatenate([images for images, _ in train]),
        train_labels=np.concatenate([labels for _, labels in train]),
        classes=_CLASSES,
        test_images=test[0][0],
        test_labels=test[0][1],
    )


def _records(content: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    length = 1 + int(np.prod(_SHAPE))
    if not content or len(content) % length:
        raise DataError(f"{where} holds {len(content)} bytes; a file of the binary version has {length} for each image")
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, length)
    images = records[:, 1:].reshape(-1, *_SHAPE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, 0].astype(np.int64)
