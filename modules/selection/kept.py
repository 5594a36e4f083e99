"""Training on the images of a list that was found before, and that the store keeps under the digest of its content."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modules.errors import ConfigError
from modules.store import Store

REVISION = 1

KIND = "selections"
_FILE = "identities.npy"


class Kept:
    """Keeps the images whose identities are on the list with this digest; `open` reads it before the first call."""

    def __init__(self, digest: str = "") -> None:
        self.digest = digest
        self._identities: NDArray[np.uint64] | None = None

    def open(self, store: Store) -> None:
        """Read the list; ConfigError where the store has none of this digest."""
        entry = store.find(KIND, self.digest) if self.digest else None
        if entry is None:
            raise ConfigError(
                f"selection.digest={self.digest or 'nothing'} names no selection under {store.root}; allowed is the "
                "digest of one that selection=clean, prune or auto found there"
            )
        self._identities = np.load(entry.file(_FILE))

    def __call__(self, labels: NDArray[np.int64], identities: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The indices of the images kept, in order."""
        assert self._identities is not None, "open comes first"
        return np.flatnonzero(np.isin(identities, self._identities))


def keep_list(store: Store, identities: NDArray[np.uint64]) -> str:
    """Put a list of identities into the store; returns its digest, by which equal lists are one."""
    listed = np.unique(identities)
    digest = hashlib.sha256(listed.astype("<u8").tobytes()).hexdigest()[:32]
    if store.find(KIND, digest) is None:
        store.put(KIND, digest, {"num_identities": len(listed)}, lambda folder: _write(folder, listed))
    return digest


def _write(folder: Path, identities: NDArray[np.uint64]) -> None:
    with (folder / _FILE).open("wb") as file:  # np.save's own error does not say that a disk is full
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(identities))
        file.write(identities.data)
