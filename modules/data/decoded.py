"""A set of image files, decoded once by several processes into an array in the store that is mapped into memory."""

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modules.data.files import GIVEN, FileSet, ImageFile
from modules.data.image_file import Header, Size
from modules.data.images import RawImages
from modules.data.mapped import open_mapped
from modules.data.size_rule import size_for
from modules.digests import digest_of
from modules.disk import new_array
from modules.errors import DataError
from modules.parts import revisions_of
from modules.store import Store
from modules.workers.pool import WorkerDiedError, WorkerPool

REVISION = 2

_KIND = "decoded"
_SAMPLE = 1_000  # files whose headers decide about the size
_AT_ONCE = 500  # files of one job
_MOST_WORKERS = 16
_SECONDS_BETWEEN_LINES = 5.0
_NAMED = 3  # files that a note names; all are in the table of what was left out

Found = Header | str  # a header, or why there is none


def read_files(files: FileSet, store: Store) -> RawImages:
    """The images of a set, decoded now or found in the store."""
    if not files.counts()["train"]:
        raise DataError("there are no training images, only those of other parts; each class needs at least two")
    key = digest_of({"fingerprint": files.fingerprint, "revisions": revisions_of(__name__, "modules.data.decoding")})
    entry = store.find(_KIND, key)
    if entry is None:
        entry = store.put(_KIND, key, {"fingerprint": files.fingerprint}, partial(_fill, files, store))
    return _opened(entry.folder)


def _opened(folder: Path) -> RawImages:
    facts = json.loads((folder / "files.json").read_text())
    images, labels = open_mapped(folder / "images.npy"), np.load(folder / "labels.npy")
    ends = np.cumsum([facts["counts"].get(given, 0) for given in GIVEN])
    pieces = {
        given: (images[end - count : end], labels[end - count : end])
        for given, end in zip(GIVEN, ends.tolist(), strict=True)
        if (count := facts["counts"].get(given, 0))
    }
    none = (None, None)
    train_images, train_labels = pieces["train"]
    validation_images, validation_labels = pieces.get("validation", none)
    test_images, test_labels = pieces.get("test", none)
    return RawImages(
        train_images=train_images,
        train_labels=train_labels,
        classes=tuple(facts["classes"]),
        test_images=test_images,
        test_labels=test_labels,
        validation_images=validation_images,
        validation_labels=validation_labels,
        names=tuple(facts["names"]),
        left_out=tuple((name, reason) for name, reason in facts["left_out"]),
        sizes=tuple((height, width) for height, width in facts["sizes"]),
        file=folder / "images.npy",
        notes=tuple(facts["notes"]),
    )


def _fill(files: FileSet, store: Store, folder: Path) -> None:
    """Decode into `images.npy`; the rows of files that cannot be read are closed up."""
    with _Decoders(store.root.parent / "logs" / "decoding", len(files.files)) as decoders:
        size, found = _decode_all(files, decoders, folder / "images.npy")
    sound = [place for place, one in enumerate(found) if isinstance(one, Header)]
    unreadable = [(file.name, one) for file, one in zip(files.files, found, strict=True) if isinstance(one, str)]
    kept = [files.files[place] for place in sound]
    _check(files, kept, unreadable)
    _close_up(folder / "images.npy", np.asarray(sound), len(found))
    np.save(folder / "labels.npy", np.asarray([file.label for file in kept], dtype=np.int64))
    headers = [one for one in found if isinstance(one, Header)]
    facts = {
        "classes": files.classes,
        "names": [file.name for file in kept],
        "counts": Counter(file.given for file in kept),
        "sizes": _sizes(headers, size),
        "left_out": [*unreadable, *files.passed_over],
        "notes": _notes(headers, size, unreadable, files),
    }
    (folder / "files.json").write_text(json.dumps(facts))


def _decode_all(files: FileSet, decoders: "_Decoders", path: Path) -> tuple[Size, list[Found]]:
    if files.image_size is None or files.channels is None:
        sample = files.files[:: -(-len(files.files) // _SAMPLE)]
        seen = [one for one in decoders.headers(sample) if isinstance(one, Header)]
        size = size_for(seen or [Header(1, 1, True)], files.image_size, files.channels)
    else:
        size = Size(files.image_size, files.image_size, files.channels)
    found = decoders.decode(files.files, path, size)
    if size.channels == 1 and files.channels is None and any(isinstance(one, Header) and one.coloured for one in found):
        size = Size(size.height, size.width, 3)  # the sample was grey, some other file is not
        found = decoders.decode(files.files, path, size)
    return size, found


class _Decoders:
    """Processes that decode; a file that takes its process down with it is found by halving and left out."""

    def __init__(self, log_folder: Path, num_files: int) -> None:
        cores = len(os.sched_getaffinity(0))
        size = max(1, min(cores, _MOST_WORKERS, -(-num_files // _AT_ONCE)))
        self._pool = WorkerPool(size, threads=1, log_folder=log_folder, preload="modules.data.decoding")
        self._threads = ThreadPoolExecutor(size)

    def __enter__(self) -> "_Decoders":
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._pool.close()

    def headers(self, files: Sequence[ImageFile]) -> list[Found]:
        """What the headers of files say."""
        return self._all("modules.data.decoding.read_headers", files, lambda first: {})

    def decode(self, files: Sequence[ImageFile], path: Path, size: Size) -> list[Found]:
        """Decode files into the rows of a new array at `path`."""
        new_array(path, (len(files), size.height, size.width, size.channels), np.uint8)
        place = {"images": str(path), "height": size.height, "width": size.width, "channels": size.channels}
        return self._all("modules.data.decoding.decode_files", files, lambda first: {**place, "first": first})

    def _all(self, job: str, files: Sequence[ImageFile], more: Any) -> list[Found]:
        def some(first: int, last: int) -> list[Found]:
            asked = [[file.path, file.offset, file.bytes] for file in files[first:last]]
            try:
                found = self._pool.call(job, {"files": asked, **more(first)})["found"]
            except WorkerDiedError as death:
                if last - first == 1:
                    return [f"reading it ended the process: {death}"]
                middle = (first + last) // 2
                return some(first, middle) + some(middle, last)
            return [one if isinstance(one, str) else Header(one[0], one[1], one[2], tuple(one[3])) for one in found]

        pieces = [(first, min(first + _AT_ONCE, len(files))) for first in range(0, len(files), _AT_ONCE)]
        found: list[Found] = []
        said_at = time.monotonic()
        for piece in self._threads.map(lambda piece: some(*piece), pieces):
            found += piece
            if time.monotonic() - said_at >= _SECONDS_BETWEEN_LINES and len(found) < len(files):
                print(f"reading images: {len(found):,} of {len(files):,} files", flush=True)
                said_at = time.monotonic()
        return found


def _close_up(path: Path, sound: NDArray[np.int64], num_rows: int) -> None:
    """Leave only the sound rows in the array, in their order."""
    if len(sound) == num_rows:
        return
    rows = np.load(path, mmap_mode="r")
    shorter = path.with_suffix(".shorter")
    with shorter.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(rows[:0])
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (len(sound), *rows.shape[1:])})
        for first in range(0, len(sound), _AT_ONCE):
            file.write(np.ascontiguousarray(rows[sound[first : first + _AT_ONCE]]).data)
    os.replace(shorter, path)


def _check(files: FileSet, kept: Sequence[ImageFile], unreadable: Sequence[tuple[str, str]]) -> None:
    """DataError where what could not be read leaves a part that was given empty."""
    left = {file.given for file in kept}
    for given in files.counts():
        if given not in left:
            name, reason = unreadable[0]
            raise DataError(f"none of the {given} images can be read ({name}: {reason}); allowed are image files")


def _sizes(headers: Sequence[Header], size: Size) -> list[tuple[int, int]]:
    """The smallest, a middle and the largest, where not all are of `size`."""
    found = sorted(
        ((header.height, header.width) for header in headers), key=lambda sides: (sides[0] * sides[1], sides)
    )
    return [] if {*found} == {(size.height, size.width)} else [found[0], found[len(found) // 2], found[-1]]


def _notes(headers: Sequence[Header], size: Size, unreadable: Sequence[tuple[str, str]], files: FileSet) -> list[str]:
    notes = []
    if unreadable:
        named = "; ".join(f"{name}: {reason}" for name, reason in unreadable[:_NAMED])
        notes.append(f"Files left out because they cannot be read: {len(unreadable)} ({named}{_more(unreadable)}).")
    if files.passed_over:
        named = "; ".join(f"{name}: {reason}" for name, reason in files.passed_over[:_NAMED])
        notes.append(f"Files passed over: {len(files.passed_over)} ({named}{_more(files.passed_over)}).")
    others = sum((header.height, header.width) != (size.height, size.width) for header in headers)
    if others:
        smallest, _, largest = (f"{height} x {width}" for height, width in _sizes(headers, size))
        notes.append(
            f"Images resized to {size.height} x {size.width}: {others}, from {smallest} to {largest}; "
            "data.image_size=PIXELS chooses another size."
        )
    if size.channels == 1 and (coloured := sum(header.coloured for header in headers)):
        notes.append(f"Colour images made grey: {coloured}.")
    remarks = Counter(remark for header in headers for remark in header.remarks)
    notes.extend(f"{remark}: {count}." for remark, count in sorted(remarks.items()))
    return notes


def _more(named: Sequence[Any]) -> str:
    return "; …" if len(named) > _NAMED else ""
