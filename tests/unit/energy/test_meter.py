"""The arithmetic against known seconds, watts and joules."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_up_counters import write_counter

from modules.energy.meter import TYPICAL_WATTS, Counters, Energy, Estimate, Meter, MeterChoice, metered, open_meter


class Clockwork:
    """Seconds that are set by hand."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


def test_an_estimate_is_seconds_times_watts():
    used = Clockwork(100.0)
    meter = Estimate(10.0, used)
    assert meter.read().wh == 0.0
    used.seconds += 360.0
    energy = meter.read()
    assert energy.wh == pytest.approx(1.0)  # 360 s at 10 W
    assert energy.processor_seconds == 360.0
    assert energy.watts == pytest.approx(10.0)
    assert not energy.measured
    assert energy.method == "estimate: processor time at 10 W a busy core (energy.watts_per_core)"


def test_without_a_figure_a_typical_one_is_named():
    assert (
        Estimate(None, Clockwork()).method
        == f"estimate: processor time at {TYPICAL_WATTS:g} W a busy core (a typical figure)"
    )


def test_a_process_gets_its_share_of_the_counters(tmp_path):
    place = write_counter(tmp_path, "intel-rapl:0", "package-0", 0)
    own, machine = Clockwork(5.0), Clockwork(50.0)
    meter = Counters(tmp_path, own, machine)
    own.seconds, machine.seconds = 8.0, 62.0  # 3 of 12 busy seconds
    (place / "energy_uj").write_text("14400000000")  # 14,400 J
    energy = meter.read()
    assert energy.wh == pytest.approx(1.0)
    assert energy.measured
    (place / "energy_uj").write_text("28800000000")  # others alone worked
    machine.seconds = 70.0
    assert meter.read().wh == pytest.approx(1.0)
    meter.close()


def test_two_that_share_a_machine_add_up_to_its_counters(tmp_path):
    place = write_counter(tmp_path, "intel-rapl:0", "package-0", 0)
    first, second, machine = Clockwork(), Clockwork(), Clockwork()
    meters: list[Meter] = [Counters(tmp_path, first, machine), Counters(tmp_path, second, machine)]
    first.seconds, second.seconds, machine.seconds = 30.0, 10.0, 40.0
    (place / "energy_uj").write_text("3600000000")
    assert [meter.read().wh for meter in meters] == pytest.approx([0.75, 0.25])
    for meter in meters:
        meter.close()


def test_a_share_is_never_more_than_the_whole(tmp_path):
    place = write_counter(tmp_path, "intel-rapl:0", "package-0", 0)
    own, machine = Clockwork(), Clockwork()
    meter = Counters(tmp_path, own, machine)
    own.seconds, machine.seconds = 2.0, 1.98  # ticks of the two are not counted at the same moment
    (place / "energy_uj").write_text("3600000000")
    assert meter.read().wh == pytest.approx(1.0)
    meter.close()


def test_counters_are_preferred_and_a_system_that_says_nothing_has_no_meter(tmp_path):
    auto = MeterChoice()
    assert isinstance(open_meter(auto, powercap=tmp_path), Estimate)
    write_counter(tmp_path, "intel-rapl:0", "package-0", 0)
    counters = open_meter(auto, powercap=tmp_path)
    assert isinstance(counters, Counters)
    counters.close()
    assert open_meter(auto, powercap=tmp_path, proc=tmp_path / "no-proc") is None


def test_another_process_is_not_counted():
    script = "import os\nif os.fork(): os._exit(0)\nprint(os.getpid(), flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
    # its parent has ended: it is nobody's here, as another study is
    try:
        with metered(MeterChoice(watts=3600.0)) as meter:  # a watt-hour a second
            assert meter is not None
            before = _seconds(pid)
            while _seconds(pid) - before < 0.3:
                time.sleep(0.05)
            assert meter.read().wh < 0.2
    finally:
        os.kill(pid, signal.SIGKILL)


def _seconds(pid: int) -> float:
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])) / 100


def test_sums_remember_how_both_were_found():
    one = Energy(wh=1.0, processor_seconds=10.0, method="a", measured=True)
    assert one + one == Energy(wh=2.0, processor_seconds=20.0, method="a", measured=True)
    both = one + Energy(wh=0.5, processor_seconds=5.0, method="b", measured=False)
    assert (both.wh, both.method, both.measured) == (1.5, "a; in part b", False)


def test_a_device_that_is_not_counted_is_said():
    meter = Estimate(2.0, Clockwork())
    assert meter.method_on("cpu") == meter.method
    assert meter.method_on("cuda") == f"{meter.method}; without the GPU, which energy.meter=codecarbon counts"
