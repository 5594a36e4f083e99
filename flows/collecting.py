"""`espalier gc`: shows what the store holds that nothing needs, asks, and removes it."""

import sys
from collections import Counter
from pathlib import Path

from flows.listing import study_names
from flows.watchdog import is_locked
from modules.errors import StudyError
from modules.garbage import Garbage, find_garbage
from modules.store import Store


def collect(home: Path, without_asking: bool) -> None:
    """Free what can be freed; StudyError where a study is running, which may be about to need it."""
    _check_idle(home)
    garbage = find_garbage(home)
    if not garbage:
        print(f"nothing under {home / 'store'} is without use")
        return
    print(described(garbage))
    if not without_asking and not _agrees(home):
        print("nothing was removed")
        return
    _check_idle(home)
    store = Store(home / "store")
    for one in garbage:
        one.remove(store)
    print(f"freed {_megabytes(sum(one.size_bytes for one in garbage))}")


def described(garbage: list[Garbage]) -> str:
    """How many of each kind, and how much they take."""
    counts = Counter(one.kind for one in garbage)
    sizes: Counter[str] = Counter()
    for one in garbage:
        sizes[one.kind] += one.size_bytes
    lines = [f"{kind:12}{counts[kind]:8,}  {_megabytes(sizes[kind]):>12}" for kind in counts]
    return "\n".join([*lines, f"{'together':12}{len(garbage):8,}  {_megabytes(sum(sizes.values())):>12}"])


def _check_idle(home: Path) -> None:
    running = [name for name in study_names(home) if is_locked(home / "studies" / name / ".lock")]
    if running:
        raise StudyError(f"study {running[0]} is running; allowed is to collect when none is")


def _agrees(home: Path) -> bool:
    if not sys.stdin.isatty():
        raise StudyError("there is nobody to ask whether to remove this; --yes says so beforehand")
    return input(f"Remove it from {home / 'store'}? [y/N] ").strip().lower() in ("y", "yes")


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
