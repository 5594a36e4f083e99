"""The arrays of a data set in the store, mapped into memory."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from modules.data.mapped import open_mapped
from modules.data.parts import PARTS
from modules.parts import build
from modules.records import DataRecord, Part, PartName
from modules.store import Store

NAMES = "names.json"


@dataclass(frozen=True)
class Arrays:
    """Images (uint8, N x H x W x C), labels (int64, N), parts (uint8, N) and identities (uint64, N).

    In place of images there may be what frozen nodes made of them (float16, N x features or N x C x H x W).

    `store` is where selections that were found are listed.
    """

    images: NDArray[Any]
    labels: NDArray[np.int64]
    parts: NDArray[np.uint8]
    identities: NDArray[np.uint64]
    store: Store | None = None

    def indices(self, part: PartName) -> NDArray[np.int64]:
        """Where the images of a part are, in order."""
        return np.flatnonzero(self.parts == PARTS.index(part))

    def selected(self, selection: Part) -> NDArray[np.int64]:
        """Where the training images are that a selection keeps."""
        return self.under(selection)[1]

    def under(self, selection: Part) -> tuple[Self, NDArray[np.int64]]:
        """The arrays with the labels that a selection trains under, and where the images are that it keeps."""
        train, select = self.indices("train"), build(selection)
        if hasattr(select, "open"):
            assert self.store is not None
            select.open(self.store)
        kept: NDArray[np.int64] = train[select(self.labels[train], self.identities[train])]
        if not hasattr(select, "relabelled"):
            return self, kept
        labels = np.array(self.labels)
        labels[train] = select.relabelled(self.labels[train], self.identities[train])
        return replace(self, labels=labels), kept


def image_names(home: Path, record: DataRecord) -> list[str] | None:
    """Which file each image of a record's arrays comes from; None where they come from no files of their own."""
    path = home / record.folder / NAMES
    return list(json.loads(path.read_text())) if path.exists() else None


def open_arrays(home: Path, record: DataRecord) -> Arrays:
    """Map the arrays of a record; processes share the pages."""
    folder = home / record.folder
    images, labels, parts, identities = (
        open_mapped(folder / f"{name}.npy") for name in ("images", "labels", "parts", "identities")
    )
    return Arrays(images, labels, parts, identities, Store(home / "store"))
