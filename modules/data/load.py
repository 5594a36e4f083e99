"""Reading a data set, splitting it by content and keeping it in the store."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modules.data import parts as parts_module
from modules.data.archive import Archive
from modules.data.arrays import NAMES
from modules.data.corrections import corrected_labels, corrections_digest
from modules.data.decoded import read_files
from modules.data.facts import Facts
from modules.data.files import FileSet
from modules.data.images import RawImages
from modules.data.leaks import find_inner_leaks, find_leaks
from modules.data.packed import PackedSet
from modules.data.parts import PARTS, assign_parts, chunks, group_keys
from modules.digests import digest_of
from modules.errors import ConfigError, DataError
from modules.parts import build, revisions_of
from modules.records import DataRecord, Part, PartName
from modules.store import Store

REVISION = 3  # 3: an entry for each list of names

_UNGIVEN_TEST_FRACTION = 0.2  # of a set that brings no test set and for which none is asked


@dataclass(frozen=True)
class _Split:
    """The images that stay, piece by piece in the order of the arrays, with what is known of each."""

    pieces: tuple[tuple[NDArray[np.uint8], NDArray[np.bool_]], ...]  # images, and which of them stay
    labels: NDArray[np.int64]
    identities: NDArray[np.uint64]
    groups: NDArray[np.uint64]
    parts: NDArray[np.uint8]
    left_out: tuple[tuple[str, str], ...]  # names of what is in no part, and why
    notes: tuple[str, ...]
    names: tuple[str, ...]  # of the files that the images come from; () where they come from none

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all images."""
        return (len(self.labels), *self.pieces[0][0].shape[1:])

    def chunks(self) -> Iterator[NDArray[np.uint8]]:
        """All images in their order, some at a time."""
        for images, stays in self.pieces:
            for chunk in chunks(images.shape):
                yield np.ascontiguousarray(images[chunk] if stays[chunk].all() else images[chunk][stays[chunk]])


def load_data(
    reader: Part,
    name: str,
    fractions: tuple[float, float, float | None],
    split_seed: int,
    home: Path,
    store: Store,
    corrections: Path | None = None,
) -> DataRecord:
    """Read a data set, assign its parts and return its record; what the store has already is not written again.

    `fractions` are those of steer, confirm and test; the last must be 0 where the data brings a test set, and may be
    None: then it is 0 there, and a fifth elsewhere. The file `corrections` holds labels that a person corrected. Files
    are not read again while nothing about them has changed.
    """
    source = build(reader)
    if isinstance(source, RawImages):
        return _loaded(source, name, fractions, split_seed, home, store, corrections)
    revisions = revisions_of("modules.data.load", "modules.data.decoding", reader.target.rpartition(".")[0])
    corrected = None if corrections is None else corrections_digest(corrections)
    known = [name, reader.target, source.fingerprint, fractions, split_seed, corrected, revisions]
    key = digest_of(known)
    if (entry := store.find("sources", key)) and (found := store.find("data", entry.record["data"])):
        return _in_order(DataRecord.model_validate(found.record))
    record = _loaded(_read(source, store), name, fractions, split_seed, home, store, corrections)
    store.remove("sources", key)
    store.put("sources", key, {"data": Path(record.folder).name})
    return record


def _read(source: FileSet | Archive | PackedSet, store: Store) -> RawImages:
    if isinstance(source, PackedSet):
        return source.read()
    if isinstance(source, FileSet):
        return read_files(source, store)
    with source.opened(store.root.parent) as files:
        return read_files(files, store)


def _in_order(record: DataRecord) -> DataRecord:
    """A record of the store, whose JSON is sorted, with the parts in their usual order."""
    counts = {name: {part: getattr(record, name)[part] for part in PARTS} for name in ("num_images", "num_groups")}
    return record.updated(**counts)


def _loaded(
    raw: RawImages,
    name: str,
    fractions: tuple[float, float, float | None],
    split_seed: int,
    home: Path,
    store: Store,
    corrections: Path | None,
) -> DataRecord:
    steer, confirm, test = fractions
    has_test_set = raw.test_images is not None
    if test is None:
        test = 0.0 if has_test_set else _UNGIVEN_TEST_FRACTION
    _check_fractions(name, (steer, confirm, test), has_test_set)
    split = _split(raw, (steer, confirm, test), split_seed)
    if corrections is not None:
        split = _corrected(split, raw.classes, corrections)
    _check_parts(split, raw.classes)
    fields = _describe(split, raw.classes, name)
    facts = _facts(split, raw)
    names = digest_of(split.names)  # the same images may have come under others
    key = digest_of(
        {"revision": [REVISION, parts_module.REVISION], "facts": facts.content_digest, "names": names, **fields}
    )
    folder = store.folder("data", key).relative_to(home)
    record = DataRecord(folder=folder.as_posix(), **fields)
    if store.find("data", key) is None:
        store.put("data", key, record.model_dump(mode="json"), partial(_write, split, facts, raw.file))
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


def _split(raw: RawImages, fractions: tuple[float, float, float], split_seed: int) -> _Split:
    """Each image's part: training images are split by content unless the set brings parts of its own.

    Given validation images are steer and confirm, in proportion; a given test set is the test set.
    """
    steer, confirm, test = fractions
    if raw.validation_images is not None:
        shares = {
            "train": (0.0, 0.0, test),
            "validation": (steer / (steer + confirm), confirm / (steer + confirm), 0.0),
        }
    else:
        shares = {"train": (steer, confirm, test)}
    leaks = find_leaks(raw)
    pieces, labels, identities, groups, parts, names = [], [], [], [], [], []
    left_out, notes = leaks.left_out, leaks.notes
    for given, images, piece_labels in raw.pieces():
        known, called, keys = leaks.identities[given], leaks.names[given], group_keys(images)
        codes = _parts_of(given, keys, shares, split_seed)
        inner = find_inner_leaks(images, known, codes, leaks.stays[given], called)
        left_out, notes, stays = left_out + inner.left_out, notes + inner.notes, inner.stays
        names += [called[row] for row in np.flatnonzero(stays)] if raw.names else []
        pieces.append((images, stays))
        labels.append(piece_labels[stays])
        identities.append(known[stays])
        groups.append(keys[stays])
        parts.append(codes[stays])
    return _Split(
        pieces=tuple(pieces),
        labels=np.concatenate(labels),
        identities=np.concatenate(identities),
        groups=np.concatenate(groups),
        parts=np.concatenate(parts),
        left_out=(*raw.left_out, *left_out),
        notes=(*raw.notes, *_conflicts(leaks.identities["train"], raw.train_labels), *notes),
        names=tuple(names),
    )


def _corrected(split: _Split, classes: tuple[str, ...], corrections: Path) -> _Split:
    """With the labels that a person corrected; those of the test part stay as they were given."""
    labels = corrected_labels(split.labels, split.identities, split.parts, classes, corrections)
    note = f"Labels corrected by data.corrections: {int((labels != split.labels).sum()):,}."
    return replace(split, labels=labels, notes=(note, *split.notes))


def _parts_of(
    given: str, groups: NDArray[np.uint64], shares: dict[str, tuple[float, float, float]], split_seed: int
) -> NDArray[np.uint8]:
    if given not in shares:
        return np.full(len(groups), PARTS.index("test"), dtype=np.uint8)
    steer, confirm, test = shares[given]
    return assign_parts(
        groups, steer_fraction=steer, confirm_fraction=confirm, test_fraction=test, split_seed=split_seed
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
    _, height, width, channels = split.shape
    members: dict[PartName, NDArray[np.int64]] = {
        part: np.flatnonzero(split.parts == code) for code, part in enumerate(PARTS)
    }
    mean, std = _mean_and_std(split.pieces[0][0], np.flatnonzero(split.pieces[0][1])[members["train"]])
    return {
        "name": name,
        "digest": _digest(classes, _images_digest(split), _array_digest(split.labels), _array_digest(split.parts)),
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


def _digest(classes: tuple[str, ...], *arrays: tuple[list[int], str]) -> str:
    """Of arrays in their order, which is that of training."""
    return digest_of({"classes": classes, "arrays": [list(array) for array in arrays]})


def _array_digest(array: NDArray[Any]) -> tuple[list[int], str]:
    return list(array.shape), hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _images_digest(split: _Split) -> tuple[list[int], str]:
    digest = hashlib.sha256()
    for chunk in split.chunks():
        digest.update(chunk.data)
    return list(split.shape), digest.hexdigest()


def _test_digest(classes: tuple[str, ...], identities: NDArray[np.uint64], labels: NDArray[np.int64]) -> str:
    """Of the test images in no order: the same set in another order is the same test."""
    order = np.lexsort((labels, identities))
    return _digest(classes, _array_digest(identities[order]), _array_digest(labels[order]))


def _mean_and_std(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per channel, of pixels scaled to [0, 1]; summed in integers, so that they depend on no order."""
    first = second = np.zeros(images.shape[3], dtype=np.int64)
    for chunk in chunks((len(indices), *images.shape[1:])):
        pixels = images[indices[chunk]].reshape(-1, images.shape[3]).astype(np.int64)
        first = first + pixels.sum(axis=0)
        second = second + (pixels**2).sum(axis=0)
    num_pixels = len(indices) * images.shape[1] * images.shape[2]
    mean = first / num_pixels
    std = np.sqrt(second / num_pixels - mean**2)
    return tuple((mean / 255).tolist()), tuple((np.maximum(std, 1.0) / 255).tolist())  # one shade: no division by zero


def _facts(split: _Split, raw: RawImages) -> Facts:
    counts: dict[PartName, tuple[int, ...]] = {
        part: tuple(np.bincount(split.labels[split.parts == code], minlength=len(raw.classes)).tolist())
        for code, part in enumerate(PARTS)
    }
    unique = len(np.unique(split.identities))
    return Facts(
        counts=counts,
        sizes=raw.sizes,
        copies=len(split.labels) - unique,
        near_copies=unique - len(np.unique(split.groups)),
        left_out=split.left_out,
    )


def _write(split: _Split, facts: Facts, file: Path | None, folder: Path) -> None:
    """The arrays; of images that lie in a file just so, another name for that file."""
    if file is None or not all(stays.all() for _, stays in split.pieces) or not _linked(file, folder / "images.npy"):
        _write_array(folder / "images.npy", split.shape, np.dtype(np.uint8), split.chunks())
    (folder / "facts.json").write_text(facts.model_dump_json())
    if split.names:
        (folder / NAMES).write_text(json.dumps(split.names))
    for name in ("labels", "parts", "identities"):
        array = np.ascontiguousarray(getattr(split, name))
        _write_array(folder / f"{name}.npy", array.shape, array.dtype, iter([array]))


def _linked(file: Path, name: Path) -> bool:
    try:
        os.link(file, name)
    except OSError:  # a file system that has no links
        return False
    return True


def _write_array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], chunks: Iterator[NDArray[Any]]) -> None:
    with path.open("wb") as file:  # np.save's own error does not say that a disk is full
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in chunks:
            file.write(chunk.data)
