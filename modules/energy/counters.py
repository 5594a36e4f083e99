"""The energy counters of Intel's and AMD's processors (RAPL), as Linux shows them under /sys/class/powercap."""

import os
from pathlib import Path
from typing import NamedTuple

POWERCAP = Path("/sys/class/powercap")

_JOULES = 1e-6  # they count microjoules
_MIRRORED_JOULES = 1.0  # some processors show one counter for each die: what two readings of the same may differ by


class Counter(NamedTuple):
    """A package of a processor, or its memory; begins at zero again after `range_joules`."""

    folder: Path
    range_joules: float

    @property
    def joules(self) -> float:
        """What it shows now."""
        return int((self.folder / "energy_uj").read_text()) * _JOULES


def find_counters(powercap: Path = POWERCAP) -> tuple[Counter, ...]:
    """The counters that this process may read: none where the system has none, or shows them to root alone."""
    found: list[Counter] = []
    for folder in sorted(powercap.glob("*-rapl:*")):
        name = folder / "name"
        if not os.access(folder / "energy_uj", os.R_OK) or not name.exists():
            continue
        if not name.read_text().startswith(("package", "dram")):
            continue  # cores and graphics are in their package; psys counts the package too
        counter = Counter(folder, int((folder / "max_energy_range_uj").read_text()) * _JOULES)
        if all(abs(counter.joules - other.joules) > _MIRRORED_JOULES for other in found):
            found.append(counter)
    return tuple(found)


def joules_between(before: float, after: float, counter: Counter) -> float:
    """What was used between two readings less than a turn of the counter apart."""
    return after - before if after >= before else after - before + counter.range_joules
