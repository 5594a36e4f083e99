import pytest

from modules.energy.grids import Grid
from modules.energy.meter import Energy
from modules.energy.summary import UNKNOWN, energy_summary, rounded

GRID = Grid(name="DEU", grams_per_kwh=400)


def test_watt_hours_grams_and_what_an_image_costs():
    used = Energy(wh=12.3456, processor_seconds=3600.0, method="counters", measured=True)
    summary = energy_summary(used, GRID, latency_ms=2.0)
    assert (summary["wh"], summary["co2_g"], summary["grid"]) == (12.3, 4.94, "DEU")
    assert summary["inference_mj"] == pytest.approx(24.7)  # 2 ms of 12.3456 W


def test_an_estimate_has_fewer_digits():
    used = Energy(wh=0.0123456, processor_seconds=11.11, method="estimate", measured=False)
    assert energy_summary(used, GRID)["wh"] == 0.012
    assert energy_summary(used, GRID)["inference_mj"] is None


def test_what_is_not_known_is_null():
    assert energy_summary(None, GRID, 1.0) == UNKNOWN
    assert set(UNKNOWN.values()) == {None}


@pytest.mark.parametrize(
    ("value", "digits", "expected"), [(0, 2, 0), (1234.5, 2, 1200), (0.00456, 1, 0.005), (9.96, 2, 10)]
)
def test_rounding(value, digits, expected):
    assert rounded(value, digits) == expected
