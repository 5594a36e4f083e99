"""Seconds that processors worked: of a process with all that it started, and of the whole machine. Linux only."""

import os
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")

_TICKS = os.sysconf("SC_CLK_TCK")
_IDLE = (3, 4)  # idle and waiting for the disk, among the columns of /proc/stat
_COUNTED = 8  # the columns after these are counted in earlier ones


class _Process(NamedTuple):
    parent: int
    seconds: float  # its own and those of its children that have ended


def is_known(proc: Path = PROC) -> bool:
    """Whether this system says what its processes have used."""
    return (proc / "self" / "stat").exists()


def tree_seconds(pid: int | None = None, proc: Path = PROC) -> float:
    """Of a process (this one) and its descendants, since each began. One that ends leaves its seconds to its parent."""
    processes = _processes(proc)
    members, found = set(), {os.getpid() if pid is None else pid}
    while found:
        members |= found
        found = {child for child, process in processes.items() if process.parent in found} - members
    return sum(processes[member].seconds for member in members if member in processes)


def machine_seconds(proc: Path = PROC) -> float:
    """That all processors together were busy, since the machine was started."""
    columns = [int(column) for column in (proc / "stat").read_text().split("\n", 1)[0].split()[1:]][:_COUNTED]
    return (sum(columns) - sum(columns[index] for index in _IDLE)) / _TICKS


def _processes(proc: Path) -> dict[int, _Process]:
    processes = {}
    for path in proc.glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()  # the name before it may hold anything
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        processes[int(path.parent.name)] = _Process(int(fields[1]), sum(map(int, fields[11:15])) / _TICKS)
    return processes
