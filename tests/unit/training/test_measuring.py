"""What a machine is asked before a training: the range test of rates, and which batch size is fast."""

from itertools import count, pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_study import tiny_architecture, tiny_recipe, tiny_spec

from modules.records import RangeTest
from modules.store import Store
from modules.training import calibration
from modules.training.calibration import measure_batch_sizes, pick_size
from modules.training.progress import Progress
from modules.training.range_test import UPDATES, Ramp, find_rate, pick_rate, smoothed


def silent(progress):
    return None


def test_smoothing_by_hand():
    assert smoothed([1.0, 1.0, 1.0]) == pytest.approx([1.0, 1.0, 1.0])
    assert smoothed([1.0, 2.0]) == pytest.approx([1.0, (0.9 * 0.1 * 1.0 + 0.1 * 2.0) / (1 - 0.81)])


def test_the_ramp_multiplies_by_the_same_ratio_from_end_to_end():
    ramp = Ramp(1e-3, 1e2, 51)
    factors = [ramp.factor(Progress(0, 1, updates)) for updates in range(51)]
    assert (factors[0], factors[-1]) == pytest.approx((1e-3, 1e2))
    ratios = [after / before for before, after in pairwise(factors)]
    assert ratios == pytest.approx([10**0.1] * 50)


def test_the_pick_is_where_the_loss_has_fallen_most_of_the_way():
    rates = [10.0 ** (step / 10 - 4) for step in range(50)]
    losses = [2.3 - 0.04 * step if step <= 30 else 1.1 + 0.3 * (step - 30) for step in range(50)]
    assert pick_rate(rates, losses) == pytest.approx(rates[27], rel=0.01)


@given(st.lists(st.floats(0.01, 10.0), min_size=1, max_size=50))
def test_a_pick_is_one_of_the_rates_and_not_above_that_of_the_lowest_loss(losses):
    rates = [0.001 * 1.5**step for step in range(len(losses))]
    picked = pick_rate(rates, losses)
    assert rates[0] * 0.99 <= picked <= rates[losses.index(min(losses))] * 1.05


def test_a_range_test_finds_a_rate_that_learns_and_repeats(home, data):
    recipe = tiny_recipe(architecture=tiny_architecture(dropout=0.0))
    spec = tiny_spec(data).updated(recipe=recipe)
    arguments = {"spec": spec.model_dump(mode="json"), "home": str(home)}
    found = RangeTest.model_validate(find_rate(**arguments, key="a" * 32, report=silent))
    again = RangeTest.model_validate(find_rate(**arguments, key="b" * 32, report=silent))
    assert found == again
    assert len(found.rates) == len(found.losses) <= UPDATES
    assert list(found.rates) == sorted(found.rates)
    assert found.rates[0] == pytest.approx(0.01 * 1e-3)
    assert 1e-4 < found.picked < 1.0
    assert Store(home / "store").find("range_tests", "a" * 32).record["picked"] == found.picked
    assert not (home / "store" / "trials").exists()
    assert not (home / "store" / "checkpoints").exists()


@given(st.dictionaries(st.integers(1, 4096), st.floats(1.0, 1e6), min_size=1))
def test_the_smallest_size_that_is_nearly_the_fastest(rates):
    picked = pick_size(rates)
    assert rates[picked] >= 0.95 * max(rates.values())
    assert all(rates[size] < 0.95 * max(rates.values()) for size in rates if size < picked)


def test_batch_sizes_are_measured_up_to_the_largest(home, data):
    spec = tiny_spec(data).model_dump(mode="json")
    record = measure_batch_sizes(spec, str(home), "a" * 32, 64, report=silent)
    assert list(record["samples_per_second"]) == ["32", "64"]
    assert record["picked"] in (32, 64)
    assert Store(home / "store").find("batch_sizes", "a" * 32).record == record


def test_where_even_the_smallest_size_is_too_large_the_largest_allowed_is_picked(home, data):
    spec = tiny_spec(data).model_dump(mode="json")
    record = measure_batch_sizes(spec, str(home), "a" * 32, 16, report=silent)
    assert (list(record["samples_per_second"]), record["picked"]) == (["16"], 16)


@pytest.mark.parametrize(
    ("seconds_an_update", "enough_seconds", "expected"),
    [(0.01, 8.0, 60), (0.8, 8.0, 12), (5.0, 8.0, 7), (0.8, float("inf"), 60)],
    ids=["fast", "slow", "very slow", "with others"],
)
def test_an_update_that_takes_long_is_timed_less_often(monkeypatch, seconds_an_update, enough_seconds, expected):
    trainer, ticks = SimpleNamespace(should_stop=False), count()
    monkeypatch.setattr(calibration.time, "monotonic", lambda: next(ticks) * seconds_an_update)
    stopwatch = calibration._Stopwatch(60, enough_seconds)
    while not trainer.should_stop:
        stopwatch.on_train_batch_start(trainer, None, None, 0)
        stopwatch.on_train_batch_end(trainer, None, None, None, 0)
    assert len(stopwatch.marks) == expected
