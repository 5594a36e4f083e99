"""Reading a data set, splitting it by content and keeping it in the store."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modules.data import parts as parts_module
from modules.data.corrections import corrected_labels
from modules.data.images import RawImages
from modules.data.parts import PARTS, assign_parts, chunks, content_hashes, group_keys
from modules.digests import digest_of
from modules.errors import ConfigError, DataError
from modules.parts import build
from modules.records import DataRecord, Part, PartName
from modules.store import Store

REVISION = 1


@dataclass(frozen=True)
class _Split:
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    identities: NDArray[np.uint64]
    groups: NDArray[np.uint64]
    parts: NDArray[np.uint8]
    notes: tuple[str, ...]


def load_data(
    reader: Part,
    name: str,
    fractions: tuple[float, float, float],
    split_seed: int,
    home: Path,
    store: Store,
    corrections: Path | None = None,
) -> DataRecord:
    """Read a data set, assign its parts and return its record; what the store has already is not written again.

    `fractions` are those of steer, confirm and test; the last must be 0 where the data brings a test set. The file
    `corrections` holds labels that a person corrected.
    """
    raw = build(reader)
    _check_fractions(name, fractions, has_test_set=raw.test_images is not None)
    split = _split(raw, fractions, split_seed)
    if corrections is not None:
        split = _corrected(split, raw.classes, corrections)
    _check_parts(split, raw.classes)
    fields = _describe(split, raw.classes, name)
    key = digest_of({"revision": [REVISION, parts_module.REVISION], **fields})
    folder = store.folder("data", key).relative_to(home)
    record = DataRecord(folder=folder.as_posix(), **fields)
    if store.find("data", key) is None:
        store.put("data", key, record.model_dump(mode="json"), lambda target: _write(target, split))
    return record


def _check_fractions(name: str, fractions: tuple[float, float, float], has_test_set: bool) -> None:
    steer, confirm, test = fractions
    if has_test_set and test != 0:
        raise ConfigError(f"data.test_fraction={test} is not for {name}, which brings its own test set; allowed is 0")
    if min(steer, confirm) <= 0 or (test <= 0 and not has_test_set):
        raise ConfigError(
            f"data.steer_fraction={steer}, data.confirm_fraction={confirm} and data.test_fraction={test} would leave a "
            "part empty; each must be above 0"
        )
    if sum(fractions) >= 1:
        raise ConfigError(
            f"data.steer_fraction={steer}, data.confirm_fraction={confirm} and data.test_fraction={test} leave nothing "
            "to train on; together they must be below 1"
        )


def _corrected(split: _Split, classes: tuple[str, ...], corrections: Path) -> _Split:
    labels = corrected_labels(split.labels, split.identities, split.parts, classes, corrections)
    note = f"Labels corrected by data.corrections: {int((labels != split.labels).sum()):,}."
    return replace(split, labels=labels, notes=(*split.notes, note))


def _split(raw: RawImages, fractions: tuple[float, float, float], split_seed: int) -> _Split:
    steer, confirm, test = fractions
    images, labels = raw.train_images, raw.train_labels
    identities, groups = content_hashes(images), group_keys(images)
    parts = assign_parts(
        groups, steer_fraction=steer, confirm_fraction=confirm, test_fraction=test, split_seed=split_seed
    )
    split = _Split(images, labels, identities, groups, parts, _conflicts(identities, labels))
    if raw.test_images is None or raw.test_labels is None:
        return split
    return _with_test_set(split, raw.test_images, raw.test_labels)


def _with_test_set(split: _Split, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> _Split:
    identities = content_hashes(images)
    kept = ~np.isin(split.identities, identities)
    notes = split.notes
    if num_left_out := int((~kept).sum()):
        notes += (f"Training images left out because the given test set has them too: {num_left_out}.",)
    return _Split(
        images=np.concatenate([split.images[kept], images]),
        labels=np.concatenate([split.labels[kept], labels]),
        identities=np.concatenate([split.identities[kept], identities]),
        groups=np.concatenate([split.groups[kept], group_keys(images)]),
        parts=np.concatenate([split.parts[kept], np.full(len(images), PARTS.index("test"), dtype=np.uint8)]),
        notes=notes,
    )


def _conflicts(identities: NDArray[np.uint64], labels: NDArray[np.int64]) -> tuple[str, ...]:
    pairs = np.unique(np.stack([identities, labels.astype(np.uint64)]), axis=1)
    num_labels = np.unique(pairs[0], return_counts=True)[1]
    num_conflicts = int((num_labels > 1).sum())
    return (f"Images that occur with more than one label: {num_conflicts}.",) if num_conflicts else ()


def _check_parts(split: _Split, classes: tuple[str, ...]) -> None:
    for code, part in enumerate(PARTS):
        if not (split.parts == code).any():
            raise DataError(
                f"the {part} part would be empty ({len(split.parts)} images in all); more images, a larger fraction or "
                "another data.split_seed fill it"
            )
    counts = np.bincount(split.labels[split.parts == PARTS.index("train")], minlength=len(classes))
    if missing := [name for name, count in zip(classes, counts, strict=True) if count == 0]:
        raise DataError(
            f"class {missing[0]!r} has no image in the training part; each class needs at least one there: add images "
            "or take another data.split_seed"
        )


def _describe(split: _Split, classes: tuple[str, ...], name: str) -> dict[str, Any]:
    """All of the record but the folder."""
    _, height, width, channels = split.images.shape
    members: dict[PartName, NDArray[np.int64]] = {
        part: np.flatnonzero(split.parts == code) for code, part in enumerate(PARTS)
    }
    mean, std = _mean_and_std(split.images, members["train"])
    return {
        "name": name,
        "digest": _digest(classes, split.images, split.labels, split.parts),
        "test_digest": _test_digest(classes, split.identities[members["test"]], split.labels[members["test"]]),
        "classes": classes,
        "image_shape": (channels, height, width),
        "num_images": {part: len(indices) for part, indices in members.items()},
        "num_groups": {part: len(np.unique(split.groups[indices])) for part, indices in members.items()},
        "mean": mean,
        "std": std,
        "notes": split.notes + _unjudged(split, classes),
    }


def _unjudged(split: _Split, classes: tuple[str, ...]) -> tuple[str, ...]:
    notes = []
    for code, part in enumerate(PARTS):
        counts = np.bincount(split.labels[split.parts == code], minlength=len(classes))
        missing = [name for name, count in zip(classes, counts, strict=True) if count == 0]
        if missing:
            notes.append(f"The {part} part has no image of {', '.join(map(repr, missing))}.")
    return tuple(notes)


def _digest(classes: tuple[str, ...], *arrays: NDArray[Any]) -> str:
    """Of the arrays in their order, which is that of training."""
    contents = [[list(array.shape), hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()] for array in arrays]
    return digest_of({"classes": classes, "arrays": contents})


def _test_digest(classes: tuple[str, ...], identities: NDArray[np.uint64], labels: NDArray[np.int64]) -> str:
    """Of the test images in no order: the same set in another order is the same test."""
    order = np.lexsort((labels, identities))
    return _digest(classes, identities[order], labels[order])


def _mean_and_std(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per channel, of pixels scaled to [0, 1]; summed in integers, so that they depend on no order."""
    first = second = np.zeros(images.shape[3], dtype=np.int64)
    for chunk in chunks(images.shape):
        pixels = images[indices[chunk]].reshape(-1, images.shape[3]).astype(np.int64)
        first = first + pixels.sum(axis=0)
        second = second + (pixels**2).sum(axis=0)
    num_pixels = len(indices) * images.shape[1] * images.shape[2]
    mean = first / num_pixels
    std = np.sqrt(second / num_pixels - mean**2)
    return tuple((mean / 255).tolist()), tuple((np.maximum(std, 1.0) / 255).tolist())  # one shade: no division by zero


def _write(folder: Path, split: _Split) -> None:
    for name in ("images", "labels", "parts", "identities"):
        array = np.ascontiguousarray(getattr(split, name))
        with (folder / f"{name}.npy").open("wb") as file:  # np.save's own error does not say that a disk is full
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
            file.write(array.data)
