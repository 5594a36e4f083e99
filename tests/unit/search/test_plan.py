import math
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modules.errors import ConfigError
from modules.search import pace, planning
from modules.search.pace import RESERVED_SECONDS, Calibration, samples_within
from modules.search.plan import CONTROL_SEEDS, SWEEP_RUNGS, Plan, Wishes
from modules.search.planning import make_plan, slice_rule

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
FAST = Calibration(samples_per_second=8000, evaluation_seconds=0.5)


def counts(largest: int) -> st.SearchStrategy[int]:
    return st.integers(1, largest)


@st.composite
def wishes(draw, **given_ones) -> Wishes:
    optional = {
        "slice_samples": counts(100_000),
        "baseline_samples": counts(500_000),
        "final_samples": counts(2_000_000),
        "max_epochs": counts(50),
    }
    drawn = {name: draw(st.none() | strategy) for name, strategy in optional.items()}
    return WISHES.updated(
        **drawn,
        generations=draw(st.none() | st.integers(0, 20)),
        edits_per_generation=draw(st.integers(1, 6)),
        from_scratch=draw(st.booleans()),
        races=draw(st.sampled_from((0, 0, 1, 11))),
        space_share=draw(st.sampled_from((0.0, 0.0, 0.3))),
        **given_ones,
    )


CALIBRATIONS = st.builds(Calibration, samples_per_second=st.floats(20, 100_000), evaluation_seconds=st.floats(0, 20))
NUM_TRAIN = st.integers(10, 200_000)


def planned(*arguments) -> tuple[Plan | None, str]:
    """The plan, or None and the sentence that refuses it."""
    try:
        return make_plan(*arguments), ""
    except ConfigError as error:
        return None, str(error)


def planned_seconds(plan: Plan, calibration: Calibration) -> float:
    """All that is trained and looked at, at the pace that was measured."""
    slices = plan.generations * plan.trials_per_generation
    return plan.total_samples / calibration.samples_per_second + slices * calibration.evaluation_seconds


def trials(plan: Plan) -> int:
    return 1 + plan.generations * plan.trials_per_generation + plan.num_finals


@pytest.mark.parametrize(("num_train", "expected"), [(1000, 8000), (16_000, 8000), (48_000, 24_000), (500_000, 60_000)])
def test_a_slice_is_half_an_epoch_within_bounds(num_train, expected):
    assert slice_rule(num_train) == expected


def test_the_default_study_by_hand():
    plan = make_plan(WISHES, 48_000, None)
    final = planning._FINAL_SLICES * 24_000
    assert (plan.slice_samples, plan.baseline_samples) == (24_000, 4 * 24_000)
    assert (plan.generations, plan.trials_per_generation) == (3, CONTROL_SEEDS + 3 + 1)
    assert plan.continued_samples == plan.scratch_samples == final
    assert plan.total_samples == 96_000 + 3 * 6 * 24_000 + 2 * final
    assert (plan.minutes, plan.seconds) == (None, None)
    assert plan.note == (
        f"a baseline of 96,000 samples, 3 generations of 6 slices of 24,000, two final trainings of {final:,}"
    )


def test_halving_begins_twice_as_many_edits_by_hand():
    plan = make_plan(WISHES.updated(halving=True), 48_000, None)
    assert (plan.begun_per_generation, plan.edits_per_generation) == (6, 3)
    assert plan.generation_samples == 6 * 24_000 + 3 * 12_000
    assert "3 generations of 6 slices of 24,000 and 3 half ones" in plan.note


def test_what_is_wished_is_planned():
    wished = WISHES.updated(slice_samples=5000, baseline_samples=7000, final_samples=9000, from_scratch=False)
    plan = make_plan(wished, 48_000, None)
    assert (plan.slice_samples, plan.baseline_samples) == (5000, 7000)
    assert (plan.continued_samples, plan.scratch_samples) == (9000, 0)
    epochs = make_plan(WISHES.updated(max_epochs=3), 48_000, None)
    assert epochs.continued_samples == epochs.scratch_samples == 144_000


def test_without_a_search_there_is_one_training():
    single = WISHES.updated(search="none", generations=0)
    plan = make_plan(single.updated(max_epochs=5), 1000, None)
    assert (plan.baseline_samples, plan.total_samples, plan.generations) == (5000, 5000, 0)
    assert plan.note == "one training of up to 5,000 samples (5.0 epochs)"
    assert make_plan(single, 48_000, None).baseline_samples == 10 * 48_000
    assert make_plan(single, 1000, None).baseline_samples == 480_000


@given(wishes(), NUM_TRAIN, CALIBRATIONS, st.floats(0.3, 600), st.floats(0, 60))
def test_minutes_are_kept_or_refused_with_what_would_do(wished, num_train, calibration, minutes, spent):
    wished = wished.updated(minutes=minutes)
    plan, sentence = planned(wished, num_train, calibration, spent)
    if plan is None:
        assert "\n" not in sentence
        assert f"budget.minutes={minutes:g}" in sentence
        least = float(re.findall(r"at least (\d+\.\d)", sentence)[0])
        assert least > minutes
        if "samples a second" in sentence:  # the speed is known, and with it all that counts
            make_plan(wished.updated(minutes=least), num_train, calibration, spent)
        return
    assert planned_seconds(plan, calibration) <= minutes * 60 - spent - RESERVED_SECONDS
    assert plan.baseline_samples > 0
    assert plan.generations <= (wished.generations if wished.generations is not None else math.inf)
    if wished.final_samples is not None:
        assert plan.continued_samples == wished.final_samples
    else:
        most = wished.max_epochs * num_train if wished.max_epochs else math.inf
        assert min(plan.slice_samples, most) <= plan.continued_samples <= most
    if plan.scratch_samples:
        assert plan.scratch_samples >= planning.SCRATCH_EPOCHS * num_train
        assert wished.from_scratch
        assert plan.scratch_samples == plan.continued_samples


@given(NUM_TRAIN, CALIBRATIONS, st.floats(0.3, 600), st.floats(0, 60), st.none() | counts(50))
def test_minutes_of_a_single_training_are_kept(num_train, calibration, minutes, spent, max_epochs):
    single = WISHES.updated(search="none", generations=0, minutes=minutes, max_epochs=max_epochs)
    plan, sentence = planned(single, num_train, calibration, spent)
    if plan is None:
        assert minutes * 60 <= spent + RESERVED_SECONDS
        assert "used up before the training starts" in sentence
        return
    seconds = (
        plan.baseline_samples
        / num_train
        * (num_train / calibration.samples_per_second + calibration.evaluation_seconds)
    )
    assert plan.baseline_samples >= 1
    assert seconds <= minutes * 60 - spent - RESERVED_SECONDS or plan.baseline_samples == 1
    assert max_epochs is None or plan.baseline_samples <= max_epochs * num_train


@given(st.floats(2, 300), st.floats(1, 100))
def test_more_minutes_are_never_less_of_anything(minutes, more):
    shorter, longer = (make_plan(WISHES.updated(minutes=length), 48_000, FAST) for length in (minutes, minutes + more))
    assert longer.generations >= shorter.generations
    assert longer.total_samples >= shorter.total_samples


@given(wishes(), NUM_TRAIN, st.integers(1, 20_000_000))
def test_samples_are_kept_or_refused_with_what_would_do(wished, num_train, samples):
    free = make_plan(wished, num_train, None)
    plan, sentence = planned(wished.updated(samples=samples), num_train, None)
    if plan is None:
        assert f"budget.samples={samples} is smaller than a study" in sentence
        least = int(re.findall(r"allowed is (\d+) or more", sentence)[0])
        assert samples < least <= free.total_samples
        make_plan(wished.updated(samples=least), num_train, None)
        return
    assert plan.total_samples <= min(samples, free.total_samples)
    assert min(plan.baseline_samples, plan.slice_samples, plan.continued_samples) > 0
    if free.total_samples <= samples:
        assert plan == free
    if plan.generations < free.generations and plan.slice_samples == free.slice_samples:
        dropped = free.updated(generations=plan.generations + 1)
        assert dropped.total_samples > samples  # not one generation fewer than it has to be
    assert f"{plan.baseline_samples:,} samples" in plan.note
    assert f"{plan.generations} generation" in plan.note


@given(NUM_TRAIN, st.integers(1, 1_000_000))
def test_samples_of_a_single_training_are_kept(num_train, samples):
    single = WISHES.updated(search="none", generations=0, samples=samples)
    plan = make_plan(single, num_train, None)
    free = make_plan(single.updated(samples=None), num_train, None)
    assert plan.total_samples == min(samples, free.total_samples)
    assert f"{plan.baseline_samples:,} samples" in plan.note


@given(wishes(), st.integers(1, 60))
def test_trials_are_kept_or_refused_with_what_would_do(wished, number):
    wished = wished.updated(trials=number)
    plan, sentence = planned(wished, 1000, None)
    if plan is None:
        assert f"budget.trials={number} is smaller than a study" in sentence
        least = int(re.findall(r"allowed is (\d+) or more", sentence)[0])
        assert number < least
        assert trials(make_plan(wished.updated(trials=least), 1000, None)) == least
        return
    assert trials(plan) <= number
    if plan.generations < make_plan(wished.updated(trials=None), 1000, None).generations:
        assert trials(plan) + plan.trials_per_generation > number


@given(wishes(), NUM_TRAIN, st.integers(10_000, 10_000_000), st.integers(1, 9_000))
def test_what_was_trained_before_the_plan_is_a_part_of_the_budget(wished, num_train, samples, spent):
    wished = wished.updated(samples=samples).spent(spent, 1)
    plan, sentence = planned(wished, num_train, None)
    if plan is not None:
        assert plan.total_samples + spent <= samples
        return
    assert f"budget.samples={samples} is smaller than a study, and {spent:,} for finding" in sentence
    least = int(re.findall(r"allowed is (\d+) or more", sentence)[0])
    assert samples < least
    assert make_plan(wished.updated(samples=least), num_train, None).total_samples + spent <= least


def test_trials_before_the_plan_are_a_part_of_the_budget():
    wished = WISHES.updated(trials=40)
    free, plan = make_plan(wished, 1000, None), make_plan(wished.spent(5_000, 30), 1000, None)
    assert trials(plan) <= 10 < trials(free)
    with pytest.raises(ConfigError, match=r"budget\.trials=40 .* allowed is 42 or more .* and 39 for finding"):
        make_plan(wished.spent(5_000, 39), 1000, None)


def test_each_training_takes_time_around_it():
    assert samples_within(100.0, FAST, 0) == 800_000
    assert samples_within(100.0, FAST, 10) == pytest.approx(800_000 - 10 * (0.5 + 0.8) * 8000)
    assert samples_within(1.0, FAST, 10) == 0


@given(wishes(), NUM_TRAIN, CALIBRATIONS, st.floats(1, 600))
def test_a_plan_survives_json(wished, num_train, calibration, minutes):
    plan, _ = planned(wished.updated(minutes=minutes), num_train, calibration)
    assume(plan is not None)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_fifteen_minutes_by_hand():
    plan = make_plan(WISHES.updated(minutes=15), 48_000, FAST, spent_seconds=8)
    seconds = (15 * 60 - 8 - RESERVED_SECONDS) * planning._SAFETY
    slice_seconds = 24_000 / 8000 + 0.5 + pace.TRIAL_OVERHEAD_SECONDS
    generations = int((planning._SEARCH_SHARE * seconds - 12) / (6 * slice_seconds))
    assert plan.seconds == pytest.approx(seconds)
    assert plan.generations == generations
    left = seconds - 12 - generations * 6 * slice_seconds
    assert plan.continued_samples == math.floor(left / 2 * 8000)


def test_fewer_generations_leave_their_time_to_the_final_training():
    wished = WISHES.updated(minutes=15)
    free, two = make_plan(wished, 48_000, FAST), make_plan(wished.updated(generations=2), 48_000, FAST)
    assert two.generations == 2 < free.generations
    assert two.total_samples > free.total_samples  # less of the time goes into looking at small slices
    assert planned_seconds(two, FAST) == pytest.approx(free.seconds, rel=0.05)
    assert "search.generations" not in two.note


def test_generations_that_the_clock_has_no_room_for_are_said():
    plan = make_plan(WISHES.updated(minutes=15, generations=500), 48_000, FAST)
    assert plan.generations == make_plan(WISHES.updated(minutes=15), 48_000, FAST).generations
    assert plan.note.endswith("; the budget leaves no room for search.generations=500")


def test_a_wished_final_training_is_kept_under_a_clock_and_generations_get_the_rest():
    wished = WISHES.updated(minutes=15, final_samples=100_000)
    plan, free = make_plan(wished, 48_000, FAST), make_plan(WISHES.updated(minutes=15), 48_000, FAST)
    assert (plan.continued_samples, plan.scratch_samples) == (100_000, 0)  # two epochs are too few from scratch
    assert plan.generations > free.generations
    twice = make_plan(wished.updated(final_samples=20 * 48_000), 48_000, FAST)
    assert twice.continued_samples == twice.scratch_samples == 20 * 48_000
    assert make_plan(wished.updated(generations=1), 48_000, FAST).continued_samples == 100_000


def test_a_wished_final_training_that_the_clock_has_no_room_for_is_refused():
    plan, sentence = planned(WISHES.updated(minutes=15, final_samples=9_000_000), 48_000, FAST)
    assert plan is None
    assert "budget.minutes=15 is too little" in sentence
    assert "search.final_samples=9000000 need at least" in sentence


@given(wishes(), NUM_TRAIN, CALIBRATIONS, st.floats(1, 200), st.floats(0.1, 100))
def test_watt_hours_plan_what_the_minutes_they_last_for_plan(wished, num_train, calibration, watts, minutes):
    drawing = calibration.updated(watts=watts)
    by_clock, clock_says = planned(wished.updated(minutes=minutes), num_train, drawing)
    by_energy, energy_says = planned(wished.updated(wh=minutes / 60 * watts), num_train, drawing)
    assert (by_clock is None) == (by_energy is None), (clock_says, energy_says)
    if by_clock is not None and by_energy is not None:
        assert by_energy.total_samples == pytest.approx(by_clock.total_samples, rel=1e-3, abs=10)
        assert by_energy.wh == minutes / 60 * watts


def test_the_tighter_of_minutes_and_watt_hours_counts():
    drawing = FAST.updated(watts=8.0)  # 2 Wh last 15 minutes
    tight, loose = WISHES.updated(minutes=15, wh=100.0), WISHES.updated(minutes=600, wh=2.0)
    by_clock, by_energy = make_plan(tight, 48_000, drawing), make_plan(loose, 48_000, drawing)
    assert by_clock.total_samples == pytest.approx(by_energy.total_samples, rel=1e-3)
    assert make_plan(loose, 48_000, drawing, spent_wh=0.5).total_samples < by_energy.total_samples


def test_watt_hours_that_are_too_few_are_refused_with_what_would_do():
    drawing = FAST.updated(watts=8.0)
    plan, sentence = planned(WISHES.updated(wh=0.01), 48_000, drawing)
    assert plan is None
    assert "budget.wh=0.01 is used up before the training starts; allowed is at least" in sentence
    plan, sentence = planned(WISHES.updated(wh=0.04), 48_000, drawing)
    assert plan is None
    least = float(re.search(r"at least ([\d.]+) watt-hours", sentence)[1])
    assert make_plan(WISHES.updated(wh=least), 48_000, drawing).generations == 0


def test_where_a_system_does_not_say_what_it_draws_watt_hours_are_refused():
    plan, sentence = planned(WISHES.updated(wh=2.0), 48_000, FAST)
    assert plan is None
    assert "budget.wh=2 cannot be kept: this system does not say what a process uses" in sentence


def test_a_race_and_hyperparameters_are_counted():
    plain = make_plan(WISHES, 48_000, None)
    raced = make_plan(WISHES.updated(races=5), 48_000, None)
    assert raced.total_samples - plain.total_samples == raced.race_samples > 0
    # five to the first rung (a third of a slice), two of them on; control and the best with two seeds each
    rung, whole = 8_000, 8_000 + 24_000 - 6_000
    assert raced.race_samples == (2 + 1 + 2) * whole + 3 * rung
    tuned = make_plan(WISHES.updated(space_share=0.5), 48_000, None)
    generations = plain.generations * plain.generation_samples
    assert tuned.tuning_before_samples == tuned.tuning_after_samples == generations // 2
    assert "hyper-parameters for" in tuned.note


def test_under_a_clock_they_come_out_of_the_generations():
    clocked = WISHES.updated(minutes=30.0)
    plain, both = (make_plan(each, 48_000, FAST) for each in (clocked, clocked.updated(races=5, space_share=0.3)))
    assert both.generations < plain.generations
    assert both.total_samples <= plain.total_samples


@given(
    samples=st.integers(300_000, 5_000_000),
    share=st.floats(0.05, 0.9),
    races=st.integers(0, 9),
    tests=st.integers(0, 100_000),
)
def test_a_limit_of_samples_holds_with_them(samples, share, races, tests):
    wishes = WISHES.updated(samples=samples, space_share=share, races=races, range_test_samples=tests)
    assert make_plan(wishes, 20_000, None).total_samples <= samples


def test_a_sweep():
    sweep = WISHES.updated(search="sweep")
    plan = make_plan(sweep.updated(tries=7), 48_000, None)
    assert (plan.tries, plan.try_samples, plan.baseline_samples, plan.generations) == (7, 120_000, 0, 0)
    timed = make_plan(sweep.updated(minutes=20.0), 48_000, FAST)
    assert timed.tries is None
    seconds = (20 * 60 - RESERVED_SECONDS) * 0.88
    assert 0.8 * 8000 * seconds < timed.sweep_samples < 8000 * seconds
    assert timed.try_samples < timed.sweep_samples / 10
    with pytest.raises(ConfigError, match=r"budget.samples=1000 does not pay for one try"):
        make_plan(sweep.updated(samples=1000), 48_000, None)


def test_a_sweep_counts_the_trials_of_its_tries():
    sweep = WISHES.updated(search="sweep")
    most = 2 * SWEEP_RUNGS
    assert make_plan(sweep.updated(trials=3 * most + 1), 48_000, None).tries == 3
    assert make_plan(sweep.updated(trials=3 * most, tries=2), 48_000, None).tries == 2
    assert make_plan(sweep.updated(trials=3 * most, samples=10**9), 48_000, None).tries == 3
    with pytest.raises(ConfigError, match=r"budget\.trials=5 .* takes up to 6 trials; allowed is 6 or more"):
        make_plan(sweep.updated(trials=5), 48_000, None)
    with pytest.raises(ConfigError, match=r"allowed is 10 or more, and 4 for finding"):
        make_plan(sweep.updated(trials=9).spent(1000, 4), 48_000, None)


def test_a_sweep_that_cannot_be_paid_for_names_the_budget_that_is_too_small():
    sweep = WISHES.updated(search="sweep", minutes=60.0, samples=1000)
    with pytest.raises(ConfigError, match=r"budget\.samples=1000 does not pay for one try"):
        make_plan(sweep, 48_000, FAST)
    slow = FAST.updated(evaluation_seconds=1e9)
    with pytest.raises(ConfigError, match=r"budget\.minutes=60 does not pay for one try"):
        make_plan(sweep.updated(samples=10**9), 48_000, slow)


def test_the_range_tests_of_a_race_are_counted_and_do_not_shrink():
    raced = WISHES.updated(races=3)
    without, plan = (make_plan(each, 48_000, None) for each in (raced, raced.updated(range_test_samples=40_000)))
    assert plan.total_samples - without.total_samples == plan.range_test_samples == 40_000
    assert f"a race of optimisers of {plan.race_samples + 40_000:,}" in plan.note
    tight = make_plan(raced.updated(range_test_samples=40_000, samples=300_000), 48_000, None)
    assert tight.range_test_samples == 40_000
    assert tight.total_samples <= 300_000


def test_without_a_training_from_scratch_its_samples_go_to_the_one_that_continues() -> None:
    plan = make_plan(WISHES.updated(minutes=None), 10_000, None)
    assert plan.scratch_samples > 0
    alone = plan.without_scratch()
    assert alone.scratch_samples == 0
    assert (alone.continued_samples, alone.total_samples) == (plan.continued_samples * 2, plan.total_samples)


FRONT = WISHES.updated(front_size=5)


def test_members_of_a_front_share_the_final_training() -> None:
    alone, front = make_plan(WISHES, 48_000, None), make_plan(FRONT, 48_000, None)
    assert (front.total_samples, front.generations) == (alone.total_samples, alone.generations)
    assert (front.continued_samples, front.scratch_samples) == (2 * alone.continued_samples, 0)
    assert (alone.num_finals, front.num_finals) == (2, 5)
    assert front.note.endswith(f"final trainings of up to 5 networks of the front, {front.continued_samples:,} in all")
    assert make_plan(FRONT.updated(generations=0), 48_000, None).num_finals == 1  # nobody else was trained
    assert make_plan(FRONT.updated(final_samples=30_000), 48_000, None).num_finals == 2  # others would get no slice


@given(wishes(front_size=5), st.integers(1, 60))
def test_trials_are_kept_with_all_members_of_a_front(wished, number):
    wished = wished.updated(trials=number)
    plan, sentence = planned(wished, 1000, None)
    if plan is None:
        assert number < int(re.findall(r"allowed is (\d+) or more", sentence)[0]) <= 3
        return
    assert trials(plan) <= number
    if plan.generations < make_plan(wished.updated(trials=None), 1000, None).generations:
        assert 1 + (plan.generations + 1) * plan.trials_per_generation + 2 > number


@pytest.mark.parametrize(("number", "expected"), [(3, (0, 1)), (9, (1, 2)), (14, (1, 4)), (15, (2, 2)), (60, (3, 5))])
def test_trials_of_a_front_by_hand(number, expected) -> None:
    plan = make_plan(FRONT.updated(trials=number), 48_000, None)
    assert (plan.generations, plan.num_finals) == expected


@given(wishes(front_size=5), NUM_TRAIN, st.integers(100_000, 3_000_000))
def test_each_member_of_a_front_gets_a_slice(wished, num_train, samples):
    plan, _ = planned(wished.updated(samples=samples), num_train, None)
    assume(plan is not None)
    assert plan.total_samples <= samples
    assert plan.num_finals == 1 or plan.continued_samples // plan.num_finals >= plan.slice_samples


def test_on_a_front_hyperparameters_are_searched_before_the_generations_alone() -> None:
    wished = WISHES.updated(space_share=0.5)
    both, before = (make_plan(each, 48_000, None) for each in (wished, wished.updated(front_size=5)))
    assert before.tuning_before_samples == both.tuning_before_samples + both.tuning_after_samples
    assert (before.tuning_after_samples, before.total_samples) == (0, both.total_samples)
