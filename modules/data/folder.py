"""Folders of image files: a class per folder, with parts of their own or without, or a CSV that lists them."""

import os
from collections.abc import Iterator
from pathlib import Path

from modules.data.archive import ENDINGS, Archive
from modules.data.files import GIVEN, PART_NAMES, FileSet, ImageFile, check_folder, explained_read_errors, shown
from modules.data.image_file import SUFFIXES
from modules.data.table import find_table, read_table
from modules.errors import DataError


def read_folder(
    root: str | None = None, image_size: int | None = None, channels: int | None = None
) -> FileSet | Archive:
    """The images under `root`: `<class>/…`, `train|validation|test/<class>/…`, a CSV of path,label,part, or a tar."""
    if not root:
        raise DataError("data=folder needs the folder with the images: say data.root=DIR")
    path = Path(root).expanduser()
    with explained_read_errors(path):
        if path.is_file() and path.suffix.lower() in (".csv", ".tsv"):
            return read_table(path, image_size, channels)
        if path.is_file() and path.name.endswith(ENDINGS):
            return Archive(path, None, image_size, channels)
        check_folder(path, "a folder with images, a CSV that lists them or a tar")
        parts = _part_folders(path)
        if parts is None and (table := find_table(path)) is not None:
            return read_table(table, image_size, channels)
        return read_class_folders(path, parts or {"train": path}, image_size, channels)


def read_class_folders(
    root: Path,
    parts: dict[str, Path],
    image_size: int | None = None,
    channels: int | None = None,
    classes: tuple[str, ...] | None = None,
) -> FileSet:
    """Images of `parts`, each with a folder for each class; `classes` in their order where it is known.

    Images that lie beside those folders are passed over.
    """
    found = {given: _class_folders(folder) for given, folder in parts.items()}
    names = tuple(sorted({name for folders in found.values() for name in folders}))
    if classes is not None:
        if unknown := sorted(set(names) - set(classes)):
            raise DataError(f"{shown(root)} has a folder {shown(unknown[0])!r}; allowed are {', '.join(classes)}")
        names = classes
    files: list[ImageFile] = []
    start = len(os.path.join(root, ""))
    loose = [entry for folder in {root, *parts.values()} for entry in _loose_images(folder)]
    passed_over = [(shown(entry.path[start:]), "in no folder of a class") for entry in loose]
    for given in GIVEN:
        for name, folder in found.get(given, {}).items():
            for entry, reason in _walk(folder, (_identity(root), _identity(parts[given]))):
                below = shown(entry.path[start:])
                if reason is not None:
                    passed_over.append((below, reason))
                    continue
                facts, label = entry.stat(), names.index(name)
                files.append(ImageFile(below, label, given, entry.path, facts.st_size, facts.st_ctime_ns))
    if not files:
        raise DataError(
            f"{shown(root)} holds no image in a folder of its class; allowed are CLASS/a.jpg, train/CLASS/a.jpg with "
            "validation/ and test/ beside it, or a CSV with the columns path and label"
        )
    return FileSet(tuple(files), tuple(map(shown, names)), image_size, channels, tuple(sorted(passed_over)))


def _part_folders(root: Path) -> dict[str, Path] | None:
    """The folders of the given parts; None where the folders are not of parts."""
    folders = [entry for entry in _visible(root) if _is_folder(entry)]
    parts: dict[str, list[Path]] = {}
    for entry in folders:
        if (part := PART_NAMES.get(entry.name.lower())) is not None:
            parts.setdefault(part, []).append(Path(entry.path))
    if "train" not in parts:
        return None
    for part, same in parts.items():
        if len(same) > 1:
            listed = " and ".join(shown(path.name) for path in same)
            raise DataError(
                f"{shown(root)} has {listed}, which mean the same part, {part}; allowed is one folder for each"
            )
    others = [entry for entry in folders if entry.name.lower() not in PART_NAMES]
    if others:
        raise DataError(
            f"{shown(root)} has the folder {shown(others[0].name)} beside those of parts; allowed beside train are "
            "validation and test, or folders of classes alone"
        )
    return {part: path for part, (path,) in parts.items()}


def _class_folders(part: Path) -> dict[str, Path]:
    return {entry.name: Path(entry.path) for entry in _visible(part) if _is_folder(entry)}


def _loose_images(folder: Path) -> list[os.DirEntry[str]]:
    """What is named as an image and lies where folders should be."""
    return [entry for entry in _visible(folder) if _is_named_as_image(entry) and not _is_folder(entry)]


def _is_named_as_image(entry: os.DirEntry[str]) -> bool:
    return os.path.splitext(entry.name)[1].lower() in SUFFIXES


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _identity(folder: Path | os.DirEntry[str]) -> tuple[int, int]:
    facts = folder.stat()
    return facts.st_dev, facts.st_ino


def _walk(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[os.DirEntry[str], str | None]]:
    """All files below, in order, those that are no images with the reason; a link to a folder above is not followed."""
    here = (*above, _identity(folder))
    for entry in _visible(folder):
        try:
            if entry.is_dir():
                if _identity(entry) in here:
                    yield entry, "a link to a folder that it lies in"
                else:
                    yield from _walk(Path(entry.path), here)
            elif not entry.is_file():
                yield entry, "no file"
            elif not _is_named_as_image(entry):
                yield entry, "not named as an image"
            else:
                yield entry, None
        except OSError as error:
            yield entry, f"cannot be read: {error.strerror or error}"
