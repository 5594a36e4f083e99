"""A disk that misbehaves once: at the n-th write, flush or rename of all the processes that share its counter."""

import errno
import fcntl
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from modules import disk
from modules.disk import Disk

VARIABLE = "ESPALIER_TEST_FAULT"


@dataclass(frozen=True)
class Fault:
    """What happens, at which operation, and to whom.

    fail: the operation says that the disk is full. truncate: half of the file gets there, and the process is killed, as
    where the power goes. stop: the process is killed before the operation. `study`: so is the process that asked it.
    """

    kind: Literal["fail", "truncate", "stop", "none"]
    at: int
    counter: str
    victim: Literal["process", "study"] = "process"
    operations: tuple[str, ...] = ("write", "flush", "rename")

    @property
    def environment(self) -> dict[str, str]:
        """With these variables every process of a study has this fault."""
        path = os.pathsep.join([str(Path(__file__).parent / "injected"), str(Path(__file__).parents[2])])
        return {VARIABLE: json.dumps(self.__dict__), "PYTHONPATH": path}

    @property
    def count(self) -> int:
        """How many operations there were so far."""
        path = Path(self.counter)
        return path.stat().st_size if path.exists() else 0


class FaultyDisk(Disk):
    """A real disk with one fault."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def write(self, path: Path, content: bytes) -> None:
        if self._strikes("write"):
            if self.fault.kind == "truncate":
                path.write_bytes(content[: len(content) // 2])
            self._strike()
        super().write(path, content)

    def append(self, path: Path, content: bytes) -> None:
        if self._strikes("write"):
            if self.fault.kind == "truncate":
                super().append(path, content[: len(content) // 2])
            self._strike()
        super().append(path, content)

    def flush(self, path: Path) -> None:
        if self._strikes("flush"):
            if self.fault.kind == "truncate" and path.is_file() and path.suffix != ".jsonl":  # what was there stays
                os.truncate(path, path.stat().st_size // 2)
            self._strike()
        super().flush(path)

    def rename(self, source: Path, target: Path) -> None:
        if self._strikes("rename"):
            if self.fault.kind == "truncate":
                for path in sorted(source.iterdir()) if source.is_dir() else []:  # as by a disk that lies about flushes
                    os.truncate(path, path.stat().st_size // 2)
                super().rename(source, target)
            self._strike()
        super().rename(source, target)

    def _strikes(self, operation: str) -> bool:
        if operation not in self.fault.operations:
            return False
        with open(self.fault.counter, "ab") as counter:
            fcntl.flock(counter, fcntl.LOCK_EX)
            counter.write(b".")
            counter.flush()
            return self.fault.kind != "none" and counter.tell() == self.fault.at

    def _strike(self) -> NoReturn:
        if self.fault.kind == "fail":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.fault.victim == "study" and _is_worker():
            os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


def _is_worker() -> bool:
    return b"modules.workers.main" in Path("/proc/self/cmdline").read_bytes()


def install() -> None:
    """Use the disk that the environment describes."""
    described = json.loads(os.environ[VARIABLE])
    disk.in_use = FaultyDisk(Fault(**{**described, "operations": tuple(described["operations"])}))
