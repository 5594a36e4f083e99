import pytest

from modules.search.plan import RESERVED_SECONDS, Calibration, Plan
from modules.search.stopping import final_samples, why_stop

CLOCKLESS = Plan(
    baseline_samples=4000,
    generations=4,
    edits_per_generation=3,
    slice_samples=1000,
    continued_samples=10_000,
    scratch_samples=10_000,
    evaluate_every=1000,
)
# 20,000 samples for the finals at 100 a second: of 600 s of training 400 are left to the search, 100 a generation
TIMED = CLOCKLESS.updated(
    minutes=12.0, seconds=600.0, calibration=Calibration(samples_per_second=100, evaluation_seconds=0)
)


def test_a_plan_without_a_clock_stops_for_a_target_alone():
    assert why_stop(CLOCKLESS, 1, 1e9, 0.5, None) is None
    assert why_stop(CLOCKLESS, 1, 0.0, 0.021, 0.02) is None
    reason = why_stop(CLOCKLESS, 1, 0.0, 0.02, 0.02)
    assert reason == "the target was reached: 2.00% error on steer, asked for 2.00%"


@pytest.mark.parametrize(("number", "allowed"), [(1, 120), (2, 240), (4, 480)])
def test_a_clock_that_runs_ahead_of_the_plan_stops(number, allowed):
    assert why_stop(TIMED, number, allowed - 1, 0.5, None) is None
    reason = why_stop(TIMED, number, allowed + 1, 0.5, None)
    assert reason == f"the clock: {allowed + 1} s were used, and after generation {number} the plan had {allowed} s"


def test_final_trainings_are_as_planned_where_there_is_time():
    assert final_samples(CLOCKLESS, 1e9, 1.0) == 10_000
    assert final_samples(TIMED, 100, 0.01) == 10_000


def test_final_trainings_are_shorter_where_the_time_left_does_not_suffice():
    left = (12 * 60 - 620 - RESERVED_SECONDS) * 0.95
    assert final_samples(TIMED, 620, 0.01) == int(left / 2 / 0.01)
    assert final_samples(TIMED.updated(scratch_samples=0), 620, 0.01) == int(left / 0.01)


def test_a_final_training_is_never_shorter_than_a_slice():
    assert final_samples(TIMED, 10_000, 0.01) == 1000
