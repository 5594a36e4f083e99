"""Arrays on disk that may be larger than memory: mapped, and given back to the system as they are read."""

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST_BYTES = 256 * 2**20  # what is smaller may as well stay in memory
_FAULT_BYTES = 2 * 2**20  # what a kernel with large folios maps around a page that is asked for (Linux 6.18)


class Mapped(np.memmap):
    """A mapped array whose pages are let go after some have been read; they stay in the system's cache while it likes.

    Without that, a process that has read all of a large array would count as that large.
    """

    _read = 0

    def __getitem__(self, index: Any) -> Any:
        rows = super().__getitem__(index)
        if not isinstance(rows, Mapped):
            return rows
        is_copy = rows._mmap is None  # type: ignore[attr-defined]
        if self.nbytes > _LEAST_BYTES:
            num_rows = len(rows) if rows.ndim == self.ndim else 1
            self._read += num_rows * (max(self.strides[0], _FAULT_BYTES) if is_copy else self.strides[0])
            if self._read >= _LEAST_BYTES:
                self.let_go()
        return rows.view(np.ndarray) if is_copy else rows

    def let_go(self) -> None:
        """Give all pages back."""
        self._read = 0
        mapping: mmap.mmap | None = getattr(self, "_mmap", None)
        if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapping.madvise(mmap.MADV_DONTNEED)


def open_mapped(path: Path) -> NDArray[Any]:
    """A .npy file, mapped. Copy-on-write rather than read-only: torch warns of arrays it could not write to."""
    return np.load(path, mmap_mode="c").view(Mapped)
