"""The energy that a study has used, summed over its resumptions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modules.energy.grids import Grid
from modules.energy.meter import Energy, Meter
from modules.energy.summary import energy_summary

if TYPE_CHECKING:
    from flows.study import StudyFolder

_KEPT, _TRIALS_WH = "energy.json", "trials_wh"


@dataclass
class EnergyAccount:
    """What the meter of this process and its workers says, on top of what earlier runs of the study wrote down."""

    folder: "StudyFolder"
    meter: Meter | None  # None where the system does not say what a process uses
    grid: Grid

    def __post_init__(self) -> None:
        kept = self.folder.read(_KEPT) or {}
        self._trials_wh = kept.pop(_TRIALS_WH, 0.0)
        self._before = Energy.model_validate(kept) if kept else None

    def add_trial(self, wh: float | None) -> None:
        """A trial was trained, perhaps by a process that this one did not start, or in part by an earlier run."""
        self._trials_wh += wh or 0.0

    @property
    def used(self) -> Energy | None:
        """So far, and no less than all trials of the study say together; None where it is not known.

        Trials say more where other machines trained, or workers that were there before, or where a run was killed.
        """
        if self.meter is None:
            return None
        now = self.meter.read()
        used = now if self._before is None else self._before + now
        return used.at_least(self._trials_wh)

    def used_on(self, device: str) -> Energy | None:
        """So far, with a method that says whether the device that trained was counted."""
        used = self.used
        if used is None or self.meter is None:
            return None
        caveat = self.meter.method_on(device).removeprefix(self.meter.method)
        return used.updated(method=used.method + caveat)

    def summary(self, device: str, latency_ms: float | None) -> dict[str, Any]:
        """So far, as summary.json and the bundle say it; `latency_ms` of the winner, None where there is none."""
        return energy_summary(self.used_on(device), self.grid, latency_ms)

    @property
    def wh(self) -> float:
        """Watt-hours so far, for budgets: 0 where they are not known."""
        used = self.used
        return used.wh if used else 0.0

    def keep(self) -> None:
        """Write it down, so that a kill loses little of it."""
        used = self.used
        if used is not None:
            self.folder.write(_KEPT, {**used.model_dump(mode="json"), _TRIALS_WH: self._trials_wh})
