"""Sets whose files hold many images each, as IDX files and NumPy's do: listed, and read only where that is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modules.data.images import RawImages
from modules.digests import digest_of


@dataclass(frozen=True)
class PackedSet:
    """The files of a set, and what reads them."""

    paths: tuple[Path, ...]
    read: Callable[[], RawImages]

    @property
    def fingerprint(self) -> str:
        """What is known of the files without reading them: the same fingerprint, the same images."""
        return digest_of([_facts(path) for path in self.paths])


def _facts(path: Path) -> list[str | int]:
    """Where it is, how large, and when anything about it was changed last, which nobody can set back."""
    place = repr(str(path.absolute()))
    try:
        found = path.stat()
    except OSError:  # what is not there is for `read` to say
        return [place]
    return [place, found.st_size, found.st_ctime_ns]
