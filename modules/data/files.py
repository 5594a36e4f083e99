"""A set of image files, listed and not yet read: a class, a part and a place for each."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from modules.digests import digest_of
from modules.errors import DataError

GIVEN = ("train", "validation", "test")  # the parts that a set may bring, in the order of their images
PART_NAMES = {  # what people call them
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class ImageFile:
    """A file, or a piece of an archive, that should be an image of a class."""

    name: str  # for people: below the root of its set
    label: int
    given: str  # one of GIVEN
    path: str
    bytes: int
    changed: int  # when anything about the file was, in nanoseconds, which nobody can set back
    offset: int | None = None  # where it begins, in an archive


@dataclass(frozen=True)
class FileSet:
    """Image files in the order of their parts and names; what is None is chosen from the files by rule."""

    files: tuple[ImageFile, ...]
    classes: tuple[str, ...]
    image_size: int | None = None  # pixels along each side
    channels: int | None = None
    passed_over: tuple[tuple[str, str], ...] = ()  # names of what is there but is no image file, and why not

    @cached_property
    def fingerprint(self) -> str:
        """What is known of the files without reading them: the same fingerprint, the same images."""
        listed = [[file.name, file.label, file.given, file.bytes, file.changed] for file in self.files]
        return digest_of(
            {
                "files": listed,
                "classes": self.classes,
                "image_size": self.image_size,
                "channels": self.channels,
                "passed_over": self.passed_over,
            }
        )

    def counts(self) -> Counter[str]:
        """Files of each given part."""
        return Counter(file.given for file in self.files)


def shown(name: str | Path) -> str:
    """A file's name for people and JSON, also where its bytes are no text."""
    return str(name).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def check_folder(path: Path, allowed: str) -> None:
    """DataError where a root is no folder that can be read; `allowed` says what it may be."""
    if not path.is_dir():
        found = "is not a folder" if path.exists() else "does not exist"
        raise DataError(f"data.root={shown(path)} {found}; it must be {allowed}")
    if not os.access(path, os.R_OK | os.X_OK):
        raise DataError(f"data.root={shown(path)} cannot be read: there is no right to; allowed is a readable folder")


@contextmanager
def explained_read_errors(path: Path) -> Iterator[None]:
    """Turn what keeps a file or a folder from being read into one sentence about it; errors of formats pass."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # gzip's of what is no gzip file
            raise
        raise DataError(
            f"{shown(error.filename or path)} cannot be read: {error.strerror}; allowed are readable files and folders"
        ) from error
