"""Making a plan: how the samples of a study are shared out before it starts.

Minutes and watt-hours are turned into samples once, from a short calibration, with the final training, the test and the
report reserved. From then on only samples count; a clock that runs ahead of the plan leads to a stored decision.
"""

import math

from modules.energy.meter import JOULES_PER_WH
from modules.errors import ConfigError
from modules.search.pace import TRIAL_OVERHEAD_SECONDS, Calibration, seconds_left, share_in_training, watts_in_training
from modules.search.plan import CONTROL_SEEDS, RACE_RUNGS, SWEEP_RUNGS, Plan, Thaw, Wishes
from modules.search.plan_in_words import after, in_words, shortfall, too_few
from modules.search.rungs import cost, rungs_of
from modules.search.sampler import HALVING

SCRATCH_EPOCHS = 20  # under a clock, the final training is only done from scratch too if both can have so many
_BASELINE_SLICES = 4  # a baseline is as long as so many slices
_SMALLEST_SLICE = 8_000  # samples
_LARGEST_SLICE = 60_000
_GENERATIONS = 3  # without a clock
_FINAL_SLICES = 5  # without a clock, each final training is as long as so many slices
_SINGLE_EPOCHS_SAMPLES = 480_000  # without a clock and a search: at least so many samples
_SEARCH_SHARE = 0.45  # of the time for training that generations get, baseline included
_SAFETY = 0.88  # of the time there is, what is planned: edits may make the network slower
_LEGS = 4  # trainings that a contender's slice is made of
_TRIES = 30  # of a sweep, without a clock
_TRY_TRIALS = 2 * SWEEP_RUNGS  # at most: at each rung a part of the trunk and a branch
_TRIES_A_BUDGET = 12  # whole ones that a sweep's budget pays for, which is some twice as many with Hyperband
_LEAST_TRIES = 4  # beside the control, or hyper-parameters are not searched


def make_plan(
    wishes: Wishes,
    num_train: int,
    calibration: Calibration | None,
    spent_seconds: float = 0.0,
    spent_wh: float = 0.0,
) -> Plan:
    """The plan for `num_train` training images; a calibration is needed where minutes or watt-hours are given.

    `spent_seconds` and `spent_wh` have gone since the command started. ConfigError where the budget is too small for
    anything.
    """
    seconds = None
    if wishes.needs_calibration and calibration is not None:
        seconds = training_seconds(wishes, calibration, spent_seconds, spent_wh)
    is_too_small = (
        wishes.search in ("edits", "random") and wishes.generations is None and num_train < wishes.least_images
    )
    if is_too_small:
        wishes = wishes.updated(generations=0)
    if wishes.search == "none":
        plan = _single(wishes, num_train, calibration, seconds)
    elif wishes.search == "sweep":
        plan = _sweep(wishes, num_train, calibration, seconds)
    else:
        plan = _study(wishes, num_train, calibration, seconds)
    if wishes.samples_left is not None and wishes.search != "sweep":
        plan = _within_samples(plan, wishes.samples_left, wishes.spent_samples)
    note = in_words(plan, num_train) + shortfall(plan, wishes.generations)
    return plan.updated(note=note + too_few(num_train, wishes.least_images) if is_too_small else note)


def slice_rule(num_train: int) -> int:
    """Half an epoch, but enough samples to see anything."""
    return min(_LARGEST_SLICE, max(_SMALLEST_SLICE, num_train // 2))


def race_samples(entrants: int, slice_samples: int) -> int:
    """What a race comes to: all to the first rung, a third to the last, the control and the best with two seeds."""
    rungs = rungs_of(slice_samples, RACE_RUNGS)
    first, whole = rungs[0].trunk + rungs[0].cooled, cost(rungs)
    survivors = math.ceil(entrants / HALVING)
    return (CONTROL_SEEDS + 1 + survivors) * whole + (entrants - survivors) * first if entrants else 0


def training_seconds(wishes: Wishes, calibration: Calibration, spent_seconds: float, spent_wh: float) -> float:
    """What is left for training of the minutes and the watt-hours; ConfigError where nothing is."""
    left = seconds_left(wishes.minutes, wishes.wh, calibration, spent_seconds, spent_wh)
    assert left is not None
    if left <= 0:
        budget, least = _least(wishes, calibration, 30.0 - left)
        raise ConfigError(
            f"{budget} is used up before the training starts; allowed is at least {least} on this machine"
        )
    return left * _SAFETY


def _study(wishes: Wishes, num_train: int, calibration: Calibration | None, seconds: float | None) -> Plan:
    slice_samples = wishes.slice_samples or slice_rule(num_train)
    ruled = _samples(wishes.max_epochs, num_train) if wishes.max_epochs else _FINAL_SLICES * slice_samples
    final = wishes.final_samples or ruled
    plan = Plan(
        baseline_samples=wishes.baseline_samples or _BASELINE_SLICES * slice_samples,
        generations=_GENERATIONS if wishes.generations is None else wishes.generations,
        edits_per_generation=wishes.edits_per_generation,
        slice_samples=slice_samples,
        continued_samples=final,
        scratch_samples=final if wishes.from_scratch else 0,
        evaluate_every=_between_looks(num_train, final),
        halving=wishes.halving,
        minutes=wishes.minutes,
        wh=wishes.wh,
        calibration=calibration,
    )
    if seconds is not None and calibration is not None:
        plan = _within_seconds(plan, wishes, num_train, calibration, seconds)
    else:
        plan = _with_recipe_search(plan, wishes)
    if wishes.front_size:
        plan = _with_front(plan, wishes.front_size)
    return plan if wishes.trials_left is None else _within_trials(plan, wishes)


def _single(wishes: Wishes, num_train: int, calibration: Calibration | None, seconds: float | None) -> Plan:
    epochs = wishes.max_epochs or max(10, math.ceil(_SINGLE_EPOCHS_SAMPLES / num_train))
    samples = _samples(epochs, num_train)
    if seconds is not None and calibration is not None:
        epoch_seconds = num_train / calibration.samples_per_second + calibration.evaluation_seconds
        affordable = max(1, int(seconds / epoch_seconds * num_train))
        samples = min(samples, affordable) if wishes.max_epochs else affordable
    return Plan(
        baseline_samples=samples,
        generations=0,
        edits_per_generation=0,
        slice_samples=0,
        continued_samples=0,
        scratch_samples=0,
        evaluate_every=num_train,
        minutes=wishes.minutes,
        wh=wishes.wh,
        seconds=seconds,
        calibration=calibration,
    )


def _sweep(wishes: Wishes, num_train: int, calibration: Calibration | None, seconds: float | None) -> Plan:
    """Whole trainings of one length: as many as were asked for, or as there is time for."""
    slice_samples = wishes.slice_samples or slice_rule(num_train)
    tries = _tries(wishes)
    each = _samples(wishes.max_epochs, num_train) if wishes.max_epochs else _FINAL_SLICES * slice_samples
    budgets: list[tuple[int, str]] = []
    if seconds is not None and calibration is not None:
        sweep = int(seconds * calibration.samples_per_second)
        each = each if wishes.max_epochs else max(slice_samples, sweep // _TRIES_A_BUDGET)
        sweep = int(sweep * share_in_training(each / HALVING ** (SWEEP_RUNGS - 1), calibration))
        budgets.append((sweep, _least(wishes, calibration, 0.0)[0]))
    if wishes.samples_left is not None:
        budgets.append((wishes.samples_left, f"budget.samples={wishes.samples}"))
    plan = Plan(
        baseline_samples=0,
        generations=0,
        edits_per_generation=0,
        slice_samples=0,
        continued_samples=0,
        scratch_samples=0,
        evaluate_every=num_train,
        try_samples=each,
        minutes=wishes.minutes,
        wh=wishes.wh,
        seconds=seconds,
        calibration=calibration,
    )
    whole = cost(rungs_of(each, SWEEP_RUNGS))
    if not budgets:
        tries = tries or _TRIES
        return plan.updated(tries=tries, sweep_samples=tries * whole)
    samples, what = min(budgets)
    if samples < whole:
        raise ConfigError(f"{what} does not pay for one try of {whole:,} samples; allowed is more, or shorter tries")
    return plan.updated(tries=tries, sweep_samples=samples)


def _tries(wishes: Wishes) -> int | None:
    """As many as were asked for, or as the trials are enough for; None where neither is said."""
    if wishes.trials_left is None:
        return wishes.tries
    enough_for, spent = wishes.trials_left // _TRY_TRIALS, wishes.spent_trials
    if enough_for < 1:
        raise ConfigError(
            f"budget.trials={wishes.trials} does not pay for one try, which takes up to {_TRY_TRIALS} trials; allowed "
            f"is {spent + _TRY_TRIALS} or more{after(spent)}, or search.tries=N instead"
        )
    return min(enough_for, wishes.tries or enough_for)


def _with_recipe_search(plan: Plan, wishes: Wishes, room: float | None = None) -> Plan:
    """The plan with what its race and its hyper-parameters take: of `room`, or in proportion to the generations."""
    race = race_samples(wishes.races, plan.slice_samples)
    thaw = wishes.thaw.slices * plan.slice_samples + wishes.thaw.heads * plan.baseline_samples
    plan = plan.updated(race_samples=race, range_test_samples=wishes.range_test_samples, thaw_samples=thaw)
    share = wishes.space_share
    if not share:
        return plan
    generation = plan.generation_samples
    searched = max(1, plan.generations) * generation / (1 - share)
    if room is not None:
        searched = max(0.0, room - plan.recipe_search_samples)
    least = (CONTROL_SEEDS + 1 + _LEAST_TRIES) * cost(rungs_of(plan.slice_samples, RACE_RUNGS))
    tuning = int(share * searched)
    if tuning >= 2 * least and not wishes.front_size:  # what was found after the generations is of one network alone
        return plan.updated(tuning_before_samples=tuning // 2, tuning_after_samples=tuning // 2)
    return plan.updated(tuning_before_samples=tuning if tuning >= least else 0)


def _with_front(plan: Plan, size: int) -> Plan:
    """The plan with all of its final training shared by members of a front, of which each gets a slice or more."""
    plan = plan.without_scratch()
    return plan.updated(front_size=min(size, max(1, plan.continued_samples // plan.slice_samples)))


def _within_seconds(plan: Plan, wishes: Wishes, num_train: int, calibration: Calibration, seconds: float) -> Plan:
    """What there is time for: a wished final training is kept, wished generations are the most there will be."""
    rate = calibration.samples_per_second
    slice_seconds = plan.slice_samples / rate + calibration.evaluation_seconds + TRIAL_OVERHEAD_SECONDS
    slices = plan.generation_samples / plan.slice_samples
    generation = slices * slice_seconds * rate  # this and the following in samples
    room = seconds * rate - plan.baseline_samples
    final_room = (1 - _SEARCH_SHARE) * seconds * rate
    scratch_minimum = max(SCRATCH_EPOCHS * num_train, plan.slice_samples)

    final, from_scratch = wishes.final_samples, False
    if final is not None:
        from_scratch = wishes.from_scratch and final >= scratch_minimum and 2 * final <= min(final_room, room)
        final_room = 2 * final if from_scratch else final
    pace = share_in_training(plan.slice_samples / _LEGS, calibration)
    searched = _with_recipe_search(plan, wishes, (room - final_room) * pace)
    room -= searched.recipe_search_samples / pace
    generations = max(0, int((room - final_room) / generation))
    if wishes.generations is not None:
        generations = min(generations, wishes.generations)
    left = room - generations * generation
    if left < (final or plan.slice_samples) and searched.thaw_samples:
        return _within_seconds(plan, wishes.updated(thaw=Thaw()), num_train, calibration, seconds)
    if left < (final or plan.slice_samples):
        raise _too_short(searched, wishes, calibration, seconds)
    if final is None:
        longest = _samples(wishes.max_epochs, num_train) if wishes.max_epochs else math.inf
        from_scratch = wishes.from_scratch and min(left / 2, longest) >= scratch_minimum
        final = int(min(left / 2 if from_scratch else left, longest))
    return searched.updated(
        generations=generations,
        continued_samples=final,
        scratch_samples=final if from_scratch else 0,
        evaluate_every=_between_looks(num_train, final),
        seconds=seconds,
    )


def _within_trials(plan: Plan, wishes: Wishes) -> Plan:
    trials, spent = wishes.trials_left, wishes.spent_trials
    thaw_trials = wishes.thaw.trials if plan.thaw_samples else 0
    assert trials is not None
    num_finals = min(2, plan.front_size or plan.num_finals)  # further members of a front get what generations leave
    if trials <= num_finals:
        raise ConfigError(
            f"budget.trials={spent + trials} is smaller than a study; allowed is {spent + 1 + num_finals} or more (a "
            f"baseline and the final training{after(spent)}), or search=none for a single one"
        )
    left = trials - 1 - num_finals
    if thaw_trials > left:
        plan = plan.updated(thaw_samples=0)
    else:
        left -= thaw_trials
    generations = min(plan.generations, left // plan.trials_per_generation)
    members = min(plan.front_size, trials - 1 - generations * plan.trials_per_generation)
    return plan.updated(generations=generations, front_size=members)


def _within_samples(plan: Plan, samples: int, spent: int) -> Plan:
    """Shorten a plan to at most `samples`: first generations go, then everything shrinks alike but range tests."""
    while plan.total_samples > samples and plan.generations > 1:
        plan = plan.updated(generations=plan.generations - 1)
    if plan.total_samples <= samples:
        return plan
    names = (
        *("baseline_samples", "slice_samples", "continued_samples", "scratch_samples"),
        *("race_samples", "thaw_samples", "tuning_before_samples", "tuning_after_samples"),
    )
    amounts = {name: getattr(plan, name) for name in names if getattr(plan, name)}
    smallest = {"slice_samples": _SMALLEST_SLICE // 8}
    fixed = plan.range_test_samples
    total, room = plan.total_samples - fixed, samples - fixed
    least = min(total, max(math.ceil(smallest.get(name, 1) * total / amount) for name, amount in amounts.items()))
    if room < least:
        raise ConfigError(
            f"budget.samples={spent + samples} is smaller than a study{after(spent)}; allowed is "
            f"{spent + fixed + least} or more on this data"
        )
    return plan.updated(**{name: amount * room // total for name, amount in amounts.items()})


def _too_short(plan: Plan, wishes: Wishes, calibration: Calibration, seconds: float) -> ConfigError:
    rate = calibration.samples_per_second
    final = wishes.final_samples or plan.slice_samples
    asked = "a final training" if wishes.final_samples is None else f"search.final_samples={wishes.final_samples}"
    before, pace = plan.recipe_search_samples, share_in_training(plan.slice_samples / _LEGS, calibration)
    missing = ((plan.baseline_samples + final + before / pace) / rate - seconds) / _SAFETY
    budget, least = _least(wishes, calibration, missing)
    baseline = "a baseline, what is tried of the recipe" if before else "a baseline"
    return ConfigError(
        f"{budget} is too little: this machine trains {rate:.0f} samples a second, so that {baseline} and {asked} need "
        f"at least {least}"
    )


def _least(wishes: Wishes, calibration: Calibration, missing_seconds: float) -> tuple[str, str]:
    """The budget as it was typed, and the least that would do, rounded up."""
    more = missing_seconds + 0.6
    budgets, least = [], []
    if wishes.minutes is not None:
        budgets.append(f"budget.minutes={wishes.minutes:g}")
        least.append(f"{math.ceil((wishes.minutes * 60 + more) / 6) / 10:.1f} minutes")
    if wishes.wh is not None:
        needed = wishes.wh + more * watts_in_training(calibration, wishes.wh) / JOULES_PER_WH
        budgets.append(f"budget.wh={wishes.wh:g}")
        least.append(f"{needed * 1.01:.3g} watt-hours")
    return " with ".join(budgets), " and ".join(least)


def _samples(epochs: float, num_train: int) -> int:
    return max(1, round(epochs * num_train))


def _between_looks(num_train: int, final_samples: int) -> int:
    return max(num_train, final_samples // 20)
