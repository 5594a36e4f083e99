"""What the store holds that nothing needs any more: no study's ledger, no study under way, no curve of MLflow.

What is live is served from its bundle, and trained on from what its study's ledger names: neither is ever garbage.

Small records (what was measured, decided and opened) are never garbage: they are what a study is remembered by.
"""

import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.store import Store

_LARGE = ("trials", "edits", "checkpoints", "data")
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
        if self.kind == "damaged":
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            store.remove(self.kind, self.path.name)


def find_garbage(home: Path, now: float | None = None) -> list[Garbage]:
    """In the order of the store: entries that nobody needs, and damaged ones that were made again."""
    store, needed = Store(home / "store"), _needed(home)
    oldest = (time.time() if now is None else now) - _GRACE_SECONDS
    candidates = [(kind, store.folder(kind, key)) for kind in _LARGE for key in store.keys(kind)]
    candidates += [("damaged", path) for path in sorted((home / "store" / "damaged").glob("*"))]
    return [
        Garbage(kind, path, _size(path))
        for kind, path in candidates
        if path.stat().st_mtime < oldest and not (needed.has(kind, path.name))
    ]


class _Needed:
    """The keys that studies name, whatever they name them for."""

    def __init__(self, keys: set[str], unfinished: set[str], keeps_all_data: bool) -> None:
        self.keys = keys
        self.unfinished = unfinished  # trials of studies that are to go on
        self.keeps_all_data = keeps_all_data

    def has(self, kind: str, key: str) -> bool:
        if kind == "damaged":
            return False
        if kind == "checkpoints":  # of a training that a study under way may go on with
            return bool(self.unfinished)
        if kind == "edits":  # the state before a training: its trial holds the one after
            return key in self.keys or bool(self.unfinished)
        return key in self.keys or (kind == "data" and self.keeps_all_data)


def _needed(home: Path) -> _Needed:
    keys: set[str] = set()
    unfinished: set[str] = set()
    keeps_all_data = False
    for folder in sorted(path for path in (home / "studies").glob("*") if path.is_dir()):
        named = set(_named_in(folder))
        keys |= named
        if not _has_ended(folder):
            unfinished |= named or {folder.name}
        keeps_all_data |= not (folder / "study_run.json").exists()
    return _Needed(keys, unfinished, keeps_all_data)


def _named_in(folder: Path) -> Iterator[str]:
    """Everything in a study's own records that looks like a key; a text that only looks like one does no harm."""
    for name in ("ledger.json", "decisions.json", "trials.jsonl", "study_run.json", "summary.json"):
        path = folder / name
        if path.exists():
            yield from _KEY.findall(path.read_text())


def _has_ended(folder: Path) -> bool:
    try:
        summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    except (OSError, ValueError):
        return False
    return summary.get("state") == "completed"


def _size(path: Path) -> int:
    return sum(inner.stat().st_size for inner in path.rglob("*") if inner.is_file())
