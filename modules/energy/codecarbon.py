"""CodeCarbon as a meter (extra `[energy]`): for systems without /proc, and for GPUs."""

import os
import time
from typing import Any

from modules.energy.meter import Energy, Meter
from modules.energy.processor_time import is_known, tree_seconds
from modules.errors import ConfigError, InternalError
from modules.extras import install_command

INSTALL = install_command("energy")

_SECONDS_BETWEEN_READINGS = 15
_WH_IN_KWH = 1000.0


class CodeCarbon(Meter):
    """What CodeCarbon says that this process and its children used: of processors and GPUs.

    It counts the machine's memory for each process, so that two studies would count it twice: that is left out. Whether
    it found counters it does not say; it is therefore called an estimate.
    """

    measured = False
    counts_gpus = True
    method = "estimate by CodeCarbon, of this process: processors and GPUs, without memory"

    def __init__(self) -> None:
        try:
            from codecarbon import OfflineEmissionsTracker
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"energy.meter=codecarbon needs CodeCarbon, which is not installed here: {INSTALL}; allowed without it "
                "is energy.meter=auto"
            ) from error
        self._tracker = OfflineEmissionsTracker(
            country_iso_code="USA",  # it wants one; grams are not taken from it
            output_methods=[],  # no file of its own
            tracking_mode="process",
            allow_multiple_runs=True,  # else it takes over the handlers of signals
            measure_power_secs=_SECONDS_BETWEEN_READINGS,
            log_level="error",
        )
        self._wh = 0.0
        self._seconds_before = _processor_seconds()
        self._task = ""
        self._start_task()

    def read(self) -> Energy:
        """So far."""
        self._take()
        self._start_task()
        seconds = _processor_seconds() - self._seconds_before
        return Energy(wh=self._wh, processor_seconds=seconds, method=self.method, measured=False)

    def close(self) -> None:
        """Read no more: its tracker has a thread of its own until the task has ended."""
        self._tracker.stop_task(self._task)

    def _start_task(self) -> None:
        self._task = f"espalier {time.monotonic_ns()}"
        self._tracker.start_task(self._task)

    def _take(self) -> None:
        used: Any = self._tracker.stop_task(self._task)
        if used is None:  # it swallows its own errors
            raise InternalError("CodeCarbon did not say what was used; energy.meter=auto does without it")
        self._wh += (used.cpu_energy + used.gpu_energy) * _WH_IN_KWH


def _processor_seconds() -> float:
    return tree_seconds() if is_known() else sum(os.times()[:4])
