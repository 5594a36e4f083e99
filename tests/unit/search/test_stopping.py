from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.errors import ConfigError
from modules.search.pace import RESERVED_SECONDS, Calibration
from modules.search.plan import CONTROL_SEEDS, Plan, Wishes
from modules.search.planning import make_plan
from modules.search.stopping import budget_allows, final_samples, slowdown_of, used_up, why_stop
from tests.made_up_plan import CLOCKLESS, TIMED

WISHES = Wishes(
    search="edits",
    generations=None,
    edits_per_generation=3,
    slice_samples=None,
    baseline_samples=None,
    final_samples=None,
    from_scratch=True,
    max_epochs=None,
    minutes=None,
    trials=None,
    samples=None,
)


def stops(plan: Plan, **changes: Any) -> str | None:
    """Why a study that has just begun, has no target and is patient would stop, but for the changes."""
    begun = {"seconds": 0.0, "wh": 0.0, "steer_error": 0.5, "target_error": None}
    return why_stop(plan, **{**begun, "in_vain": 0, "patience": None, "slowdown": 1.0, **changes})


def finals(plan: Plan, **changes: Any) -> int:
    """How long a final training may be, at the pace that was calibrated and no longer than planned."""
    return final_samples(plan, **{"seconds": 0.0, "wh": 0.0, "seconds_per_sample": 0.01, "may_grow": False, **changes})


def test_a_plan_without_a_clock_stops_for_a_target_alone():
    assert stops(CLOCKLESS, seconds=1e9) is None
    assert stops(CLOCKLESS, steer_error=0.021, target_error=0.02) is None
    reason = stops(CLOCKLESS, steer_error=0.02, target_error=0.02)
    assert reason == "the target was reached: 2.00% error on steer, asked for 2.00%"


def test_stops_where_another_generation_would_take_from_the_final_training():
    latest = 12 * 60 - RESERVED_SECONDS - 60 - 0.7 * 200
    assert stops(TIMED, seconds=latest - 1) is None
    reason = stops(TIMED, seconds=latest + 1)
    assert reason is not None
    assert f"{latest + 1:.0f} of 720 seconds" in reason


def test_networks_that_became_slower_need_more_of_the_time():
    """At half the rate the finals take 400 s and a generation 120 s."""
    latest = 12 * 60 - RESERVED_SECONDS - 120 - 0.7 * 400
    assert stops(TIMED, seconds=latest - 1, slowdown=2.0) is None
    assert stops(TIMED, seconds=latest + 1, slowdown=2.0) is not None
    assert stops(TIMED, seconds=latest + 1) is None
    assert budget_allows(TIMED, latest, 0.0, 6000, slowdown=2.0)
    assert not budget_allows(TIMED, latest, 0.0, 6100, slowdown=2.0)


def test_how_much_slower_is_measured_and_what_is_around_a_training_is_not():
    plan = TIMED.updated(calibration=Calibration(samples_per_second=100, evaluation_seconds=0.2))
    assert slowdown_of(plan, 1000, 21.0) == pytest.approx(2.0)
    assert slowdown_of(plan, 2000, 42.0, num_trials=2) == pytest.approx(2.0)
    assert slowdown_of(plan, 1000, 10.5) == 1.0
    assert slowdown_of(plan, 1000, 5.0) == 1.0  # of features, say: that says nothing of other networks
    assert slowdown_of(plan, 0, 0.0) == slowdown_of(CLOCKLESS, 1000, 1e9) == 1.0


def test_final_trainings_are_as_planned_where_there_is_time():
    assert finals(CLOCKLESS, seconds=1e9, seconds_per_sample=1.0) == 10_000
    assert finals(TIMED, seconds=100) == 10_000


def test_final_trainings_are_shorter_where_the_time_left_does_not_suffice():
    left = (12 * 60 - 620 - RESERVED_SECONDS) * 0.95
    assert finals(TIMED, seconds=620) == int(left / 2 / 0.01)
    assert finals(TIMED.updated(scratch_samples=0), seconds=620) == int(left / 0.01)


def test_a_final_training_is_never_shorter_than_a_slice():
    assert finals(TIMED, seconds=10_000) == 1000


def test_a_wished_final_training_shorter_than_a_slice_stays_short():
    assert finals(TIMED.updated(continued_samples=500), seconds=10_000) == 500


def test_gives_up_after_as_many_generations_in_vain_as_patience_allows():
    assert stops(CLOCKLESS, in_vain=2, patience=3) is None
    assert stops(CLOCKLESS, in_vain=99, patience=None) is None
    reason = stops(CLOCKLESS, in_vain=3, patience=3)
    assert reason == "no edit has paid for 3 generations, which is what search.patience allows"


def test_a_search_that_stopped_early_leaves_its_time_to_the_final_training():
    left = (12 * 60 - 100 - RESERVED_SECONDS) * 0.95
    assert finals(TIMED, seconds=100, may_grow=True) == int(left / 2 / 0.01) > 10_000
    assert finals(CLOCKLESS, seconds=100, may_grow=True) == 10_000


# as TIMED, by the watt-hours that 100 W use in as long
METERED = CLOCKLESS.updated(
    wh=20.0, seconds=600.0, calibration=Calibration(samples_per_second=100, evaluation_seconds=0, watts=100.0)
)


def test_watt_hours_stop_a_search_as_minutes_do():
    latest = (12 * 60 - RESERVED_SECONDS - 60 - 0.7 * 200) * 100 / 3600
    assert stops(METERED, seconds=1e9, wh=latest - 0.01) is None
    reason = stops(METERED, wh=latest + 0.01)
    assert reason is not None
    assert reason.startswith(f"energy: {latest + 0.01:.3g} of 20 watt-hours are used, and another generation")


def test_final_trainings_fit_into_the_watt_hours_that_are_left():
    left = ((20 - 15) * 36 - RESERVED_SECONDS) * 0.95
    assert finals(METERED, seconds=1e9, wh=15.0) == int(left / 2 / 0.01)
    assert finals(METERED, wh=1.0) == 10_000
    assert finals(METERED, wh=30.0) == 1000


def test_once_the_watt_hours_are_used_up_nothing_is_trained_that_can_be_left_out():
    assert used_up(CLOCKLESS, 1e9) is None
    assert used_up(METERED, 19.9) is None
    assert used_up(METERED, 20.0) == "budget.wh=20 is used up"


@given(
    st.floats(0.5, 50),
    st.floats(1, 300),
    st.lists(st.floats(0.2, 4.0), min_size=40, max_size=40),
)
def test_watt_hours_are_overrun_by_at_most_one_trial(wh, watts, surprises):
    """A study as the flow runs it, whose trials cost up to four times what the calibration promised."""
    calibration = Calibration(samples_per_second=1000, evaluation_seconds=0.1, watts=watts)
    wishes = WISHES.updated(wh=wh, generations=4, slice_samples=2000)
    try:
        plan = make_plan(wishes, 5000, calibration)
    except ConfigError:
        return
    costs, spent, dearest = iter(surprises), 0.0, 0.0

    def train(samples: int) -> None:
        nonlocal spent, dearest
        cost = next(costs) * samples / 1000 * watts / 3600
        spent, dearest = spent + cost, max(dearest, cost)

    train(plan.baseline_samples)
    for _ in range(plan.generations):
        if stops(plan, wh=spent) is not None:
            break
        for _ in range(CONTROL_SEEDS):
            train(plan.slice_samples)
        for _ in range(plan.trials_per_generation - CONTROL_SEEDS):
            if used_up(plan, spent) is None:
                train(plan.slice_samples)
    samples = finals(plan, seconds_per_sample=1 / 1000, wh=spent)
    before = spent
    train(samples)
    if plan.scratch_samples and used_up(plan, spent) is None:
        train(samples)
    assert spent <= wh + 2 * dearest
    if before <= wh:
        assert spent <= wh + dearest
