"""Training on the images of a list that was found before, and that the store keeps under the digest of its content.

An image is listed with the label that it was given: one that is there twice, under two labels, may be kept under one of
them. A list may also say what an image's label should be; then it is trained on under that one.
"""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modules.errors import ConfigError
from modules.randomness import words
from modules.records import Part
from modules.store import Store

REVISION = 3  # 3: an image counts with its label

KIND = "selections"

AS_GIVEN = -1  # in place of a label: the one that the image has
_FILE = "examples.npy"
_LABELS = "labels.npy"  # of the same examples, where the list has them; -1: as it was given


class Kept:
    """Keeps the images that are on the list with this digest; `open` reads it before the first call."""

    def __init__(self, digest: str = "") -> None:
        self.digest = digest
        self._listed: NDArray[np.uint64] | None = None  # in order, each once
        self._labels: NDArray[np.int64] | None = None

    def open(self, store: Store) -> None:
        """Read the list; ConfigError where the store has none of this digest."""
        entry = store.find(KIND, self.digest) if self.digest else None
        if entry is None:
            raise ConfigError(
                f"selection.digest={self.digest or 'nothing'} names no selection under {store.root}; allowed is the "
                "digest of one that selection=clean, prune or auto found there"
            )
        self._listed = np.load(entry.file(_FILE))
        if entry.record["has_labels"]:
            self._labels = np.load(entry.file(_LABELS))

    def __call__(self, labels: NDArray[np.int64], identities: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The indices of the images kept, in order."""
        assert self._listed is not None, "open comes first"
        return np.flatnonzero(np.isin(_examples(identities, labels), self._listed))

    def relabelled(self, labels: NDArray[np.int64], identities: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The labels, with those that the list has for its images."""
        assert self._listed is not None, "open comes first"
        if self._labels is None:
            return labels
        examples = _examples(identities, labels)
        places = np.minimum(np.searchsorted(self._listed, examples), len(self._listed) - 1)
        listed = np.where(self._listed[places] == examples, self._labels[places], AS_GIVEN)
        return np.where(listed == AS_GIVEN, labels, listed)


def keep_list(
    store: Store, identities: NDArray[np.uint64], given: NDArray[np.int64], labels: NDArray[np.int64] | None = None
) -> str:
    """Put a list of images with the labels `given` to them into the store; returns its digest: equal lists are one.

    `labels` are those to train under, -1 where an image keeps its own.
    """
    if labels is not None:
        labels = np.where(labels == given, AS_GIVEN, labels)
        labels = labels if (labels != AS_GIVEN).any() else None
    listed, first = np.unique(_examples(identities, given), return_index=True)
    files: dict[str, NDArray[np.uint64] | NDArray[np.int64]] = {_FILE: listed.astype("<u8")}
    if labels is not None:
        files[_LABELS] = labels[first].astype("<i8")
    digest = hashlib.sha256(b"".join(array.tobytes() for array in files.values())).hexdigest()[:32]
    if store.find(KIND, digest) is None:
        record = {"num_examples": len(listed), "has_labels": labels is not None}
        store.put(KIND, digest, record, lambda folder: _write(folder, files))
    return digest


def keeping(
    store: Store, identities: NDArray[np.uint64], given: NDArray[np.int64], labels: NDArray[np.int64] | None = None
) -> Part:
    """The selection of the images of a list; see `keep_list`."""
    return Part(target="modules.selection.kept.Kept", arguments={"digest": keep_list(store, identities, given, labels)})


def _examples(identities: NDArray[np.uint64], labels: NDArray[np.int64]) -> NDArray[np.uint64]:
    """What an image is on a list: its content and its label."""
    return words(identities, labels.astype(np.uint64))


def _write(folder: Path, files: dict[str, NDArray[np.uint64] | NDArray[np.int64]]) -> None:
    for name, array in files.items():
        with (folder / name).open("wb") as file:  # np.save's own error does not say that a disk is full
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
            file.write(array.data)
