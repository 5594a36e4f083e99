"""How much energy a process and all that it started have used: from the processor's counters, or an estimate.

Counters are the machine's: a process has that share of them which it has of the seconds that processors were busy.
Where there are none, each busy second is taken for some watts. Both leave out the power supply, disks and screens; the
estimate also leaves out memory. Another process's work is in neither.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from modules.energy.counters import POWERCAP, find_counters, joules_between
from modules.energy.processor_time import PROC, is_known, machine_seconds, tree_seconds
from modules.records import Record

JOULES_PER_WH = 3600.0
TYPICAL_WATTS = 4.0  # of a busy thread: data sheets come to 2 (servers of 100 cores and more) to 7 (desktops)
_SECONDS_BETWEEN_READINGS = 60.0  # a counter's turn takes some twenty minutes at full load


class Energy(Record):
    """Watt-hours, the seconds of processors that they went into, and how both were found."""

    wh: float
    processor_seconds: float
    method: str
    measured: bool  # by counters; else an estimate

    def __add__(self, other: "Energy") -> "Energy":
        """Both; measured if both were."""
        methods = dict.fromkeys((self.method, other.method))
        return Energy(
            wh=self.wh + other.wh,
            processor_seconds=self.processor_seconds + other.processor_seconds,
            method="; in part ".join(methods),
            measured=self.measured and other.measured,
        )

    def at_least(self, wh: float) -> "Energy":
        """No fewer watt-hours than these: what the meter did not see had the watts of what it saw."""
        if self.wh >= wh:
            return self
        factor = wh / self.wh if self.wh else 0.0
        return self.updated(wh=wh, processor_seconds=factor * self.processor_seconds)

    @property
    def watts(self) -> float | None:
        """Of one busy processor; None where none was busy."""
        return self.wh * JOULES_PER_WH / self.processor_seconds if self.processor_seconds > 0 else None


class Meter(ABC):
    """Counts from when it is made."""

    method: str
    measured: bool
    counts_gpus = False

    @abstractmethod
    def read(self) -> Energy:
        """So far."""

    def method_on(self, device: str) -> str:
        """How it counts what a training on a device used: says so where the device itself is not counted."""
        counted = device == "cpu" or self.counts_gpus
        return self.method if counted else f"{self.method}; without the GPU, which energy.meter=codecarbon counts"

    def close(self) -> None:  # noqa: B027
        """Read no more."""


class Estimate(Meter):
    """Seconds of processors times watts."""

    measured = False

    def __init__(self, watts: float | None = None, seconds: Callable[[], float] = tree_seconds) -> None:
        self.watts = TYPICAL_WATTS if watts is None else watts
        source = "a typical figure" if watts is None else "energy.watts_per_core"
        self.method = f"estimate: processor time at {self.watts:g} W a busy core ({source})"
        self._seconds = seconds
        self._before = seconds()

    def read(self) -> Energy:
        """So far."""
        seconds = max(0.0, self._seconds() - self._before)  # a process that was killed takes its seconds along
        wh = seconds * self.watts / JOULES_PER_WH
        return Energy(wh=wh, processor_seconds=seconds, method=self.method, measured=False)


class Counters(Meter):
    """A share of what the processor's counters say, taken once a minute."""

    measured = True
    method = "counters of the processor (RAPL), by this program's share of the busy time"

    def __init__(
        self,
        powercap: Path = POWERCAP,
        own: Callable[[], float] = tree_seconds,
        machine: Callable[[], float] = machine_seconds,
    ) -> None:
        self._counters = find_counters(powercap)
        self._own, self._machine = own, machine
        self._lock = threading.Lock()
        self._joules = self._seconds = 0.0
        self._last = self._readings()
        self._closed = threading.Event()
        threading.Thread(target=self._keep_reading, daemon=True).start()

    def read(self) -> Energy:
        """So far."""
        with self._lock:
            self._take()
            wh = self._joules / JOULES_PER_WH
            return Energy(wh=wh, processor_seconds=self._seconds, method=self.method, measured=True)

    def _readings(self) -> tuple[list[float], float, float]:
        return [counter.joules for counter in self._counters], self._own(), self._machine()

    def _take(self) -> None:
        before, self._last = self._last, self._readings()
        (old, own_before, machine_before), (new, own, machine) = before, self._last
        used = sum(map(joules_between, old, new, self._counters))
        busy = max(0.0, own - own_before)
        share = min(1.0, busy / max(machine - machine_before, busy)) if busy else 0.0
        self._joules += used * share
        self._seconds += busy

    def _keep_reading(self) -> None:
        while not self._closed.wait(_SECONDS_BETWEEN_READINGS):
            self.read()

    def close(self) -> None:
        """Read no more."""
        self._closed.set()


class MeterChoice(Record):
    """Which meter, and what is known for it."""

    kind: Literal["auto", "codecarbon"] = "auto"
    watts: float | None = None  # of a busy core


@contextmanager
def metered(choice: MeterChoice | None = None) -> Iterator[Meter | None]:
    """A meter that is closed at the end."""
    meter = open_meter(choice or MeterChoice())
    try:
        yield meter
    finally:
        if meter is not None:
            meter.close()


def open_meter(choice: MeterChoice, powercap: Path = POWERCAP, proc: Path = PROC) -> Meter | None:
    """What was chosen; auto: counters, else an estimate, None where the system shows neither."""
    if choice.kind == "codecarbon":
        from modules.energy.codecarbon import CodeCarbon

        return CodeCarbon()
    if not is_known(proc):
        return None
    return Counters(powercap) if find_counters(powercap) else Estimate(choice.watts)
