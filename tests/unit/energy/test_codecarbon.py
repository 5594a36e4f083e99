"""The meter against a stand-in for the library, and the sentence where there is none."""

import re
import sys
import time
import types
from typing import NamedTuple

import pytest

from modules.energy.meter import MeterChoice, metered
from modules.errors import ConfigError, InternalError
from modules.extras import install_command

CHOICE = MeterChoice(kind="codecarbon")


class Used(NamedTuple):
    cpu_energy: float  # kWh
    gpu_energy: float
    ram_energy: float


class Tracker:
    """Every task takes as much."""

    answer: Used | None = Used(0.002, 0.001, 5.0)

    def __init__(self, **options: object) -> None:
        assert options["tracking_mode"] == "process"
        assert options["output_methods"] == []
        assert options["allow_multiple_runs"] is True
        self.running: str | None = None

    def start_task(self, name: str) -> None:
        assert self.running is None
        self.running = name

    def stop_task(self, name: str) -> Used | None:
        known, self.running = self.running == name, None
        return self.answer if known else None


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> type[Tracker]:
    module = types.ModuleType("codecarbon")
    kind = type("OfflineEmissionsTracker", (Tracker,), {})
    module.OfflineEmissionsTracker = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "codecarbon", module)
    return kind


def test_processors_and_gpus_add_up_and_the_machines_memory_is_left_out(library):
    with metered(CHOICE) as meter:
        assert meter.read().wh == pytest.approx(3.0)
        energy = meter.read()
    assert energy.wh == pytest.approx(6.0)
    assert not energy.measured
    assert "CodeCarbon" in meter.method_on("cuda")
    assert "without the GPU" not in meter.method_on("cuda")


def test_a_tracker_that_says_nothing_is_not_believed(library):
    library.answer = None
    with pytest.raises(InternalError, match="CodeCarbon did not say what was used"), metered(CHOICE) as meter:
        meter.read()


def test_where_it_is_missing_the_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with (
        pytest.raises(ConfigError, match=re.escape(f"not installed here: {install_command('energy')};")),
        metered(CHOICE),
    ):
        pass


@pytest.mark.full
def test_the_library_itself():
    pytest.importorskip("codecarbon")
    started = time.monotonic()
    with metered(CHOICE) as meter:
        energy = meter.read()
        while energy.wh == 0.0 and time.monotonic() - started < 30:
            sum(range(1_000_000))
            energy = meter.read()
    watts = energy.wh * 3600 / (time.monotonic() - started)
    assert 0.0 < watts < 1000.0
    assert energy.processor_seconds > 0.0
