"""Finished work by its key: JSON and safetensors, written under a temporary name, synced, renamed.

An entry is the folder `<root>/<kind>/<first two digits>/<key>` with `record.json` and the files the record lists with
their SHA-256. An entry exists whole or not at all: the folder is renamed into place after everything in it was synced.
"""

import contextlib
import errno
import json
import logging
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules import disk
from modules.digests import digest_of, sha256_of_file
from modules.errors import HomeError

logger = logging.getLogger(__name__)

FORMAT = 1
_RECORD = "record.json"
_WRITING, _REMOVING = ".writing-", ".removing-"
_LEFT_BEHIND_SECONDS = 24 * 3600.0  # no writer takes a day; by age, since a writer may be on another machine


@dataclass(frozen=True)
class Entry:
    """Finished work: its record and the folder its files lie in."""

    folder: Path
    record: dict[str, Any]

    def file(self, name: str) -> Path:
        """The path of one of the entry's files."""
        return self.folder / name


class Store:
    """The truth about what was done; safe against kills at any moment and against two writers of one key."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, kind: str, key: str) -> Path:
        """Where the entry is, or would be."""
        return self.root / kind / key[:2] / key

    def find(self, kind: str, key: str) -> Entry | None:
        """The entry, or None where there is none; one that fails its digests is put aside, and said so.

        HomeError where it cannot be read: then nothing is known of it, and it stays where it is.
        """
        folder = self.folder(kind, key)
        with _explained_read_errors(folder):
            if not folder.is_dir():
                return None
            found = _record_of(folder)
        if not isinstance(found, str):
            return Entry(folder, found)
        if folder.is_dir():  # else another process removed it meanwhile
            self._put_aside(kind, key)
            said = "store entry %s/%s is damaged (%s); it was put aside and will be made again"
            logger.warning(said, kind, key, found)
        return None

    def _put_aside(self, kind: str, key: str) -> None:
        damaged = self.root / "damaged"
        with explained_write_errors(damaged):
            damaged.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=f"{kind}-{key}-", dir=damaged))  # it may be damaged more than once
            try:
                disk.in_use.rename(self.folder(kind, key), aside)
            except FileNotFoundError:  # another process was quicker
                aside.rmdir()

    def put(self, kind: str, key: str, record: dict[str, Any], fill: Callable[[Path], None] | None = None) -> Entry:
        """Write an entry; `fill` is given a temporary folder to write its files into. The first of two writers wins."""
        folder = self.folder(kind, key)
        with explained_write_errors(self.root):
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary = folder.with_name(f"{_WRITING}{uuid.uuid4().hex}")
            temporary.mkdir()  # as the umask says; what mkdtemp makes is for its maker alone
            try:
                if fill is not None:
                    fill(temporary)
                files = {path.name: sha256_of_file(path) for path in sorted(temporary.iterdir())}
                body = {"format": FORMAT, "record": record, "record_digest": digest_of(record), "files": files}
                text = json.dumps(body, indent=1, sort_keys=True, allow_nan=False)
                disk.in_use.write(temporary / _RECORD, text.encode())
                for path in temporary.iterdir():
                    disk.in_use.flush(path)
                disk.in_use.flush(temporary)
                self._rename_into_place(temporary, kind, key)
                disk.in_use.flush(folder.parent)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        return Entry(folder, record)

    def _rename_into_place(self, temporary: Path, kind: str, key: str) -> None:
        try:
            disk.in_use.rename(temporary, self.folder(kind, key))
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            if self.find(kind, key) is None:  # what was there was damaged, as where the power went
                self._rename_into_place(temporary, kind, key)
            else:
                # Somebody else finished the same work; keys name content, so theirs is as good.
                shutil.rmtree(temporary)

    def remove(self, kind: str, key: str) -> None:
        """Forget an entry; it is renamed away first, so that nobody sees half of it."""
        folder = self.folder(kind, key)
        if folder.is_dir():
            doomed = folder.with_name(f"{_REMOVING}{key}-{os.getpid()}")
            with explained_write_errors(self.root), contextlib.suppress(FileNotFoundError):  # another was quicker
                disk.in_use.rename(folder, doomed)
                shutil.rmtree(doomed)

    def remove_leftovers(self) -> None:
        """Remove what killed writers left behind more than a day ago."""
        oldest = time.time() - _LEFT_BEHIND_SECONDS
        for path in self.root.glob("*/??/.*"):
            if path.name.startswith((_WRITING, _REMOVING)):
                with contextlib.suppress(OSError):  # another process was quicker, or it is not ours to remove
                    if path.stat().st_mtime < oldest:
                        shutil.rmtree(path)

    def keys(self, kind: str) -> Iterator[str]:
        """The keys of all finished entries of a kind, in order."""
        for path in sorted((self.root / kind).glob("??/*")):
            if not path.name.startswith("."):
                yield path.name


def _record_of(folder: Path) -> dict[str, Any] | str:
    """The record of a whole entry, or what is wrong with it; an OSError where that cannot be said."""
    try:
        body = json.loads((folder / _RECORD).read_text())
        if digest_of(body["record"]) != body["record_digest"]:
            return "its record was altered"
        for name, digest in body["files"].items():
            if sha256_of_file(folder / name) != digest:
                return f"{name} was altered"
        record: dict[str, Any] = body["record"]
        return record
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


@contextmanager
def _explained_read_errors(folder: Path) -> Iterator[None]:
    """Turn a missing right, a failing disk or too many open files into one sentence about what was to be read."""
    try:
        yield
    except OSError as error:
        raise HomeError(
            f"cannot read {error.filename or folder}: {error.strerror or error}; it stays as it is: run again once it "
            "can be read, or point ESPALIER_HOME to another folder"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Replace a file as a whole, as UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file as a whole."""
    write_file(path, lambda temporary: disk.in_use.write(temporary, content))


def write_file(path: Path, fill: Callable[[Path], object]) -> None:
    """Replace a file as a whole: `fill` writes it under a temporary name beside it; it is synced, renamed."""
    with explained_write_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        try:
            fill(temporary)
            disk.in_use.flush(temporary)
            temporary.chmod(0o644)
            disk.in_use.rename(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        disk.in_use.flush(path.parent)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file and flush it. A killed writer may leave half a line, which is then a line of its own."""
    with explained_write_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        content = f"{line}\n".encode()
        disk.in_use.append(path, content if _ends_with_a_line(path) else b"\n" + content)
        disk.in_use.flush(path)


def _ends_with_a_line(path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return True
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


_FREE_SPACE = "free some space or point ESPALIER_HOME to another disk"
_ELSEWHERE = "point ESPALIER_HOME to a folder that can be written to"
_NO_LOCKS = ("its file system knows no locks (flock)", "point ESPALIER_HOME to one that does")
_WRITE_FAULTS = {
    errno.ENOSPC: ("there is no space left", _FREE_SPACE),
    errno.EDQUOT: ("the disk quota is used up", _FREE_SPACE),
    errno.EACCES: ("there is no right to write", _ELSEWHERE),
    errno.EPERM: ("there is no right to write", _ELSEWHERE),
    errno.EROFS: ("the file system is read-only", _ELSEWHERE),
    errno.ENOTDIR: ("a part of the path is a file", _ELSEWHERE),
    errno.EEXIST: ("a part of the path is a file", _ELSEWHERE),
    errno.ENOLCK: _NO_LOCKS,  # NFS without its lock daemon
    errno.EOPNOTSUPP: _NO_LOCKS,
    errno.ENOSYS: _NO_LOCKS,  # Lustre mounted without flock
}


@contextmanager
def explained_write_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk, a missing right or missing locks into one sentence about the folder; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in _WRITE_FAULTS:
            raise
        reason, remedy = _WRITE_FAULTS[error.errno]
        raise HomeError(f"cannot write under {folder}: {reason}; {remedy}") from error
