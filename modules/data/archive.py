"""A tar archive of image files: read in place, member by member; nothing is unpacked under the names it gives."""

import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modules.data.files import GIVEN, PART_NAMES, FileSet, ImageFile, explained_read_errors, shown
from modules.data.image_file import SUFFIXES
from modules.digests import digest_of
from modules.errors import DataError
from modules.store import explained_write_errors

ENDINGS = (".tar.gz", ".tgz", ".tar")


@dataclass(frozen=True)
class Archive:
    """A tar, gzipped or not, whose members are `…/train/<class>/…` and `…/test/<class>/…`."""

    path: Path
    classes: tuple[str, ...] | None = None
    image_size: int | None = None
    channels: int | None = None

    @property
    def fingerprint(self) -> str:
        """What is known of it without reading it."""
        facts = self.path.stat()
        return digest_of(
            [self.path.name, facts.st_size, facts.st_ctime_ns, self.classes, self.image_size, self.channels]
        )

    @contextmanager
    def opened(self, scratch: Path) -> Iterator[FileSet]:
        """Its members, as pieces of a tar that is not packed, which lies in `scratch` meanwhile."""
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=scratch) as folder:
            plain = self.path if self.path.suffix == ".tar" else _unpacked(self.path, Path(folder) / "plain.tar")
            yield self._members(plain)

    def _members(self, plain: Path) -> FileSet:
        changed = self.path.stat().st_ctime_ns
        found: list[tuple[str, str, tarfile.TarInfo]] = []
        passed_over: list[tuple[str, str]] = []
        try:
            with explained_read_errors(self.path), tarfile.open(plain, "r:") as tar:
                for member in tar:
                    place = _place(member.name)
                    if place is not None and member.isfile() and not PurePosixPath(member.name).name.startswith("."):
                        found.append((*place, member))
                    elif not member.isdir():
                        passed_over.append((shown(member.name), "not an image file in a folder of its class"))
        except tarfile.TarError as error:
            raise DataError(
                f"{shown(self.path)} is no sound tar archive ({error}); copy or download it again"
            ) from error
        classes = self.classes or tuple(sorted({name for _, name, _ in found}))
        if unknown := sorted({name for _, name, _ in found} - set(classes)):
            raise DataError(f"{shown(self.path)} has a folder {shown(unknown[0])!r}; allowed are {', '.join(classes)}")
        found.sort(key=lambda one: (GIVEN.index(one[0]), classes.index(one[1]), one[2].name))
        files = tuple(
            ImageFile(
                shown(member.name),
                classes.index(name),
                given,
                os.fspath(plain),
                member.size,
                changed,
                member.offset_data,
            )
            for given, name, member in found
        )
        return FileSet(files, classes, self.image_size, self.channels, tuple(sorted(passed_over)))


def _place(name: str) -> tuple[str, str] | None:
    """The part and the class that a member's folders say; None where they say none, or it is no image file."""
    path = PurePosixPath(name)
    if path.suffix.lower() not in SUFFIXES:
        return None
    folders = path.parts[:-1]
    for place, folder in enumerate(folders[:-1]):
        if folder.lower() in PART_NAMES:
            return PART_NAMES[folder.lower()], folders[place + 1]
    return None


def _unpacked(path: Path, plain: Path) -> Path:
    try:
        with (
            explained_read_errors(path),
            gzip.open(path) as packed,
            explained_write_errors(plain.parent),
            plain.open("wb") as file,
        ):
            shutil.copyfileobj(packed, file, 1 << 20)
    except EOFError:
        raise DataError(f"{shown(path)} is cut off: the gzip file ends too early; copy or download it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{shown(path)} is not a sound gzip file ({error}); copy or download it again") from error
    return plain
