"""`espalier gc`: shows what the store holds that nothing needs, asks, and removes it."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from flows.study import StudyFolder
from modules.errors import StudyError
from modules.garbage import Garbage, collected_alone, find_garbage, study_folders
from modules.store import Store


def collect(home: Path, without_asking: bool) -> None:
    """Free what can be freed; StudyError where a study is running, which may be about to need it."""
    with _alone(home):
        garbage = find_garbage(home)
    if not garbage:
        print(f"nothing under {home / 'store'} is without use")
        return
    print(described(garbage))
    if not without_asking and not _agrees(home):
        print("nothing was removed")
        return
    with _alone(home):
        still = {one.path for one in find_garbage(home)}  # a study may have found some of it useful since
        gone, store = [one for one in garbage if one.path in still], Store(home / "store")
        for one in gone:
            one.remove(store)
    print(f"freed {_megabytes(sum(one.size_bytes for one in gone))}")


def described(garbage: list[Garbage]) -> str:
    """How many of each kind, and how much they take."""
    counts = Counter(one.kind for one in garbage)
    sizes: Counter[str] = Counter()
    for one in garbage:
        sizes[one.kind] += one.size_bytes
    lines = [f"{kind:12}{counts[kind]:8,}  {_megabytes(sizes[kind]):>12}" for kind in counts]
    return "\n".join([*lines, f"{'together':12}{len(garbage):8,}  {_megabytes(sum(sizes.values())):>12}"])


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep studies from starting; not while it is asked what to do, which may take a night."""
    with ExitStack() as stack:
        try:
            stack.enter_context(collected_alone(home))
        except BlockingIOError:
            raise StudyError(f"{_user(home)}; allowed is to collect when no study is running") from None
        yield


def _user(home: Path) -> str:
    names = [folder.relative_to(home / "studies").as_posix() for folder in study_folders(home)]
    running = [name for name in names if StudyFolder(home, name).is_running]
    return f"study {running[0]} is running" if running else "another process uses the store"


def _agrees(home: Path) -> bool:
    if not sys.stdin.isatty():
        raise StudyError("there is nobody to ask whether to remove this; --yes says so beforehand")
    return input(f"Remove it from {home / 'store'}? [y/N] ").strip().lower() in ("y", "yes")


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
