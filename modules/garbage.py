"""What the store holds that nothing needs any more: no study's ledger, no study under way, no curve of MLflow.

What is live is served from its bundle, and trained on from what its study's ledger names: neither is ever garbage. Nor
is the data of a bundle, without which the gate could not say whether the bundle has seen its images.

Small records (what was measured, decided and opened) are never garbage: they are what a study is remembered by.

Whoever may find an old entry holds the store meanwhile, together with others; whoever removes garbage holds it alone.
"""

import fcntl
import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.store import Store, explained_write_errors

_LARGE = ("trials", "edits", "checkpoints", "data", "heads", "features", "copies", "decoded")
_NEEDED_TO_GO_ON = ("checkpoints", "features", "copies", "decoded")  # a study that has ended makes them again at need
_PUT_ASIDE = ("damaged", "unpacked")
_GRACE_SECONDS = 3600.0  # what is younger may belong to a study that has not written it down yet
_KEY = re.compile(r"[0-9a-f]{32,64}")


@dataclass(frozen=True)
class Garbage:
    """An entry, or a folder that was put aside, and what removing it frees."""

    kind: str
    path: Path
    size_bytes: int

    def remove(self, store: Store) -> None:
        """Forget it."""
        if self.kind in _PUT_ASIDE:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            store.remove(self.kind, self.path.name)


def in_use(home: Path) -> AbstractContextManager[None]:
    """Nothing is collected meanwhile; where garbage is being collected, wait until that is done."""
    return _locked(home, fcntl.LOCK_SH)


def collected_alone(home: Path) -> AbstractContextManager[None]:
    """Nobody else uses the store meanwhile; BlockingIOError where somebody does."""
    return _locked(home, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def _locked(home: Path, how: int) -> Iterator[None]:
    root = home / "store"
    with explained_write_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / ".lock").open("a+")
    with lock:
        with explained_write_errors(root):
            fcntl.flock(lock, how)
        yield


def find_garbage(home: Path, now: float | None = None) -> list[Garbage]:
    """In the order of the store: entries that nobody needs, damaged ones that were made again, unpacked archives."""
    store, needed = Store(home / "store"), _needed(home)
    oldest = (time.time() if now is None else now) - _GRACE_SECONDS
    candidates = [(kind, store.folder(kind, key)) for kind in _LARGE for key in store.keys(kind)]
    candidates += [("damaged", path) for path in sorted((home / "store" / "damaged").glob("*"))]
    candidates += [("unpacked", path) for path in sorted(home.glob(".unpacking-*"))]  # of a process that was killed
    kept = [store.folder("data", key) for key in store.keys("data") if needed.has("data", key)]
    shared = {file for folder in kept for file in _files(folder)}  # decoded images may lie in the data as well
    counted, found = set(shared), []
    for kind, path in candidates:
        if path.stat().st_mtime >= oldest or needed.has(kind, path.name):
            continue
        files = _files(path)
        if kind != "decoded" or shared.isdisjoint(files):
            found.append(Garbage(kind, path, sum(size for file, size in files.items() if file not in counted)))
            counted |= files.keys()
    return found


class _Needed:
    """The keys that studies and bundles name, whatever they name them for."""

    def __init__(self, keys: set[str], unfinished: set[str], keeps_all_data: bool) -> None:
        self.keys = keys
        self.unfinished = unfinished  # trials of studies that are to go on
        self.keeps_all_data = keeps_all_data

    def has(self, kind: str, key: str) -> bool:
        if kind in _PUT_ASIDE:
            return False
        if kind in _NEEDED_TO_GO_ON:
            return bool(self.unfinished)
        if kind in ("edits", "heads"):  # the state before a training: its trial holds the one after
            return key in self.keys or bool(self.unfinished)
        return key in self.keys or (kind == "data" and self.keeps_all_data)


def _needed(home: Path) -> _Needed:
    keys: set[str] = set()
    unfinished: set[str] = set()
    keeps_all_data = False
    for folder in study_folders(home):
        named = set(named_in(folder))
        keys |= named
        if not _has_ended(folder):
            unfinished |= named or {folder.name}
        keeps_all_data |= not (folder / "study_run.json").exists()
    for manifest in (home / "bundles").glob("*/*/bundle.json"):  # its study may be gone
        keys |= set(_KEY.findall(manifest.read_text()))
    return _Needed(keys, unfinished, keeps_all_data)


def study_folders(home: Path) -> list[Path]:
    """Those of studies, and within them those of the variants that `espalier credit` runs, which are studies, too."""
    patterns = ("*", "*/credit/*")
    return sorted(path for pattern in patterns for path in (home / "studies").glob(pattern) if path.is_dir())


def named_in(folder: Path) -> Iterator[str]:
    """Everything in a study's own records that looks like a key; a text that only looks like one does no harm."""
    for name in ("ledger.json", "decisions.json", "trials.jsonl", "study_run.json", "summary.json"):
        path = folder / name
        if path.exists():
            yield from _KEY.findall(path.read_text())


def _has_ended(folder: Path) -> bool:
    if (folder / "ended.json").exists():  # as a variant does
        return True
    try:
        summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    except (OSError, ValueError):
        return False
    return summary.get("state") == "completed"


def _files(path: Path) -> dict[tuple[int, int], int]:
    """The sizes of the files below; one that has two names is the same file under both."""
    facts = [inner.stat() for inner in path.rglob("*") if inner.is_file()]
    return {(fact.st_dev, fact.st_ino): fact.st_size for fact in facts}
