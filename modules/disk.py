"""What durable writing asks of the disk, in one place: so that a test can have it fail, or end, at any of them."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import DTypeLike


class Disk:
    """The file system as it is."""

    def write(self, path: Path, content: bytes) -> None:
        """Write a file, perhaps only into memory yet."""
        path.write_bytes(content)

    def append(self, path: Path, content: bytes) -> None:
        """Add to a file, perhaps only in memory yet."""
        with path.open("ab") as file:
            file.write(content)

    def flush(self, path: Path) -> None:
        """Have the operating system write a file or a folder to disk."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file or folder another name at once; a folder that is not empty is never replaced."""
        os.replace(source, target)


in_use = Disk()


def new_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> "np.memmap[Any, Any]":
    """A .npy file of zeros, mapped. Its space on the disk is there: writing to a mapping cannot say that it is full."""
    path.unlink(missing_ok=True)
    array = open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):  # macOS has none
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, array.offset + array.nbytes)
    return array
