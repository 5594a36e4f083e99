"""The plan: what a study will train, in samples, fixed before it starts.

Minutes and watt-hours are turned into samples once, from a short calibration, with the final training, the test and the
report reserved. From then on only samples count; a clock that runs ahead of the plan leads to a stored decision.
"""

import math
from typing import Literal, Self

from modules.energy.meter import JOULES_PER_WH
from modules.errors import ConfigError
from modules.records import Record
from modules.search.rungs import cost, rungs_of
from modules.search.sampler import HALVING

CONTROL_SEEDS = 2
_BASELINE_SLICES = 4  # a baseline is as long as so many slices
_SMALLEST_SLICE = 8_000  # samples
_LARGEST_SLICE = 60_000
_GENERATIONS = 3  # without a clock
_FINAL_SLICES = 5  # without a clock, each final training is as long as so many slices
_SINGLE_EPOCHS_SAMPLES = 480_000  # without a clock and a search: at least so many samples
_SEARCH_SHARE = 0.45  # of the time for training that generations get, baseline included
_SCRATCH_EPOCHS = 20  # under a clock, the final training is only done from scratch too if both can have so many
_SAFETY = 0.88  # of the time there is, what is planned: edits may make the network slower
RESERVED_SECONDS = 12.0  # for the test, the export and the report
_TRIAL_OVERHEAD_SECONDS = 0.8
RACE_RUNGS = 2  # of contests from a trained network, which go on for a slice
SWEEP_RUNGS = 3
_LEGS = 4  # trainings that a contender's slice is made of
_TRIES = 30  # of a sweep, without a clock
_TRY_TRIALS = 2 * SWEEP_RUNGS  # at most: at each rung a part of the trunk and a branch
_TRIES_A_BUDGET = 12  # whole ones that a sweep's budget pays for, which is some twice as many with Hyperband
_LEAST_TRIES = 4  # beside the control, or hyper-parameters are not searched
_TOO_FEW = (
    "; nothing is searched, as {:,} training images are fewer than search.least_images={}: what an edit does could not "
    "be told from chance; search.generations=N searches all the same"
)


class Calibration(Record):
    """How fast this machine trains the first recipe: samples a second, seconds for one look at *steer*, watts."""

    samples_per_second: float
    evaluation_seconds: float
    watts: float | None = None  # that the training draws; None where the system does not say


class Plan(Record):
    """What will be trained, in samples. `seconds` is what that should take, None where nothing was calibrated."""

    baseline_samples: int
    generations: int
    edits_per_generation: int  # that are trained for a whole slice
    slice_samples: int
    continued_samples: int
    scratch_samples: int
    evaluate_every: int  # samples between two looks at *steer* in baseline and final training
    race_samples: int = 0  # for a race of optimisers
    range_test_samples: int = 0  # for finding the rates of those that race
    thaw_samples: int = 0  # for training more of a pretrained network than its last layer
    tuning_before_samples: int = 0  # for hyper-parameters, before the generations and after them
    tuning_after_samples: int = 0
    tries: int | None = None  # of a sweep; None: as many as its samples pay for
    try_samples: int = 0  # of a whole one
    sweep_samples: int = 0
    front_size: int = 0  # members of a front that share the final training, at most; 0: one winner
    prior: str | None = None  # digest of what earlier studies taught
    halving: bool = False  # twice as many edits are begun, and the worse half given up after half a slice
    minutes: float | None = None
    wh: float | None = None
    seconds: float | None = None
    calibration: Calibration | None = None
    note: str = ""

    def seconds_left(self, spent_seconds: float, spent_wh: float = 0.0) -> float | None:
        """For training, by the clock and by the watt-hours; None where neither is limited."""
        return seconds_left(self.minutes, self.wh, self.calibration, spent_seconds, spent_wh)

    def without_scratch(self) -> "Plan":
        """With the samples for a final training from scratch given to the one that continues."""
        return self.updated(continued_samples=self.continued_samples + self.scratch_samples, scratch_samples=0)

    @property
    def begun_per_generation(self) -> int:
        """How many edits a generation begins to train."""
        return self.edits_per_generation * (2 if self.halving else 1)

    @property
    def trials_per_generation(self) -> int:
        """The control's seeds, the edits and the second seed of the best."""
        return CONTROL_SEEDS + self.edits_per_generation + 1

    @property
    def generation_samples(self) -> int:
        """All that a generation trains: its trials, and half a slice for each edit that is given up."""
        given_up = self.begun_per_generation - self.edits_per_generation
        return self.trials_per_generation * self.slice_samples + given_up * self.slice_samples // 2

    @property
    def recipe_search_samples(self) -> int:
        """For what is tried of the recipe besides the generations."""
        race = self.race_samples + self.range_test_samples
        return race + self.thaw_samples + self.tuning_before_samples + self.tuning_after_samples

    @property
    def num_finals(self) -> int:
        """How many final trainings there are, at most; a front has no more members than were trained."""
        if self.front_size:
            return min(self.front_size, 1 + self.generations * self.edits_per_generation)
        return bool(self.continued_samples) + bool(self.scratch_samples)

    @property
    def total_samples(self) -> int:
        """All that is trained if every generation runs."""
        searched = self.recipe_search_samples + self.sweep_samples
        finals = self.continued_samples + self.scratch_samples
        return self.baseline_samples + searched + self.generations * self.generation_samples + finals


class Thaw(Record):
    """What it takes to train more of a pretrained network than its last layer and to judge that."""

    slices: int = 0  # at most
    heads: int = 0  # last layers that are trained for it, each for as long as the baseline
    trials: int = 0


class Wishes(Record):
    """What the configuration says about the plan; None leaves it to the rule."""

    search: Literal["edits", "random", "sweep", "none"]
    generations: int | None
    edits_per_generation: int
    slice_samples: int | None
    baseline_samples: int | None
    final_samples: int | None
    from_scratch: bool
    halving: bool = False
    least_images: int = 0  # below so many training images nothing is searched unless generations are asked for
    max_epochs: float | None
    minutes: float | None
    trials: int | None
    samples: int | None
    spent_samples: int = 0  # of these, before the plan: on finding a selection or an augmentation
    spent_trials: int = 0
    tries: int | None = None
    races: int = 0  # optimisers
    range_test_samples: int = 0  # for finding their rates
    thaw: Thaw = Thaw()
    space_share: float = 0.0  # of what the search trains; 0: no space
    front_size: int = 0  # members of a front that are trained to the end; 0: one winner
    wh: float | None = None

    @property
    def needs_calibration(self) -> bool:
        """Whether it has to be known how fast this machine trains."""
        return self.minutes is not None or self.wh is not None

    def spent(self, samples: int, trials: int) -> Self:
        """After so many more were trained before the plan."""
        return self.updated(spent_samples=self.spent_samples + samples, spent_trials=self.spent_trials + trials)

    @property
    def samples_left(self) -> int | None:
        """Of a budget of samples."""
        return None if self.samples is None else self.samples - self.spent_samples

    @property
    def trials_left(self) -> int | None:
        """Of a budget of trials."""
        return None if self.trials is None else self.trials - self.spent_trials


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
    too_few = wishes.search in ("edits", "random") and wishes.generations is None and num_train < wishes.least_images
    if too_few:
        wishes = wishes.updated(generations=0)
    if wishes.search == "none":
        plan = _single(wishes, num_train, calibration, seconds)
    elif wishes.search == "sweep":
        plan = _sweep(wishes, num_train, calibration, seconds)
    else:
        plan = _study(wishes, num_train, calibration, seconds)
    if wishes.samples_left is not None and wishes.search != "sweep":
        plan = _within_samples(plan, wishes.samples_left, wishes.spent_samples)
    reason = _TOO_FEW.format(num_train, wishes.least_images) if too_few else ""
    return plan.updated(note=_note(plan, num_train) + _shortfall(plan, wishes.generations) + reason)


def slice_rule(num_train: int) -> int:
    """Half an epoch, but enough samples to see anything."""
    return min(_LARGEST_SLICE, max(_SMALLEST_SLICE, num_train // 2))


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
        sweep = int(sweep * _pace(each / HALVING ** (SWEEP_RUNGS - 1), calibration))
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
            f"is {spent + _TRY_TRIALS} or more{_after(spent)}, or search.tries=N instead"
        )
    return min(enough_for, wishes.tries or enough_for)


def _pace(samples: float, calibration: Calibration) -> float:
    """How much of the time of a training of so many samples is training, and not the looks and what is around it."""
    around = (calibration.evaluation_seconds + _TRIAL_OVERHEAD_SECONDS) * calibration.samples_per_second
    return samples / (samples + around)


def samples_within(seconds: float, calibration: Calibration, num_trials: int) -> float:
    """What so many trainings can see in that time, each with a look at *steer* and what is around it."""
    around = num_trials * (calibration.evaluation_seconds + _TRIAL_OVERHEAD_SECONDS)
    return max(0.0, seconds - around) * calibration.samples_per_second


def race_samples(entrants: int, slice_samples: int) -> int:
    """What a race comes to: all to the first rung, a third to the last, the control and the best with two seeds."""
    rungs = rungs_of(slice_samples, RACE_RUNGS)
    first, whole = rungs[0].trunk + rungs[0].cooled, cost(rungs)
    survivors = math.ceil(entrants / HALVING)
    return (CONTROL_SEEDS + 1 + survivors) * whole + (entrants - survivors) * first if entrants else 0


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


def _samples(epochs: float, num_train: int) -> int:
    return max(1, round(epochs * num_train))


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


def _with_front(plan: Plan, size: int) -> Plan:
    """The plan with all of its final training shared by members of a front, of which each gets a slice or more."""
    plan = plan.without_scratch()
    return plan.updated(front_size=min(size, max(1, plan.continued_samples // plan.slice_samples)))


def _between_looks(num_train: int, final_samples: int) -> int:
    return max(num_train, final_samples // 20)


def _within_seconds(plan: Plan, wishes: Wishes, num_train: int, calibration: Calibration, seconds: float) -> Plan:
    """What there is time for: a wished final training is kept, wished generations are the most there will be."""
    rate = calibration.samples_per_second
    slice_seconds = plan.slice_samples / rate + calibration.evaluation_seconds + _TRIAL_OVERHEAD_SECONDS
    slices = plan.generation_samples / plan.slice_samples
    generation = slices * slice_seconds * rate  # this and the following in samples
    room = seconds * rate - plan.baseline_samples
    final_room = (1 - _SEARCH_SHARE) * seconds * rate
    scratch_minimum = max(_SCRATCH_EPOCHS * num_train, plan.slice_samples)

    final, from_scratch = wishes.final_samples, False
    if final is not None:
        from_scratch = wishes.from_scratch and final >= scratch_minimum and 2 * final <= min(final_room, room)
        final_room = 2 * final if from_scratch else final
    pace = _pace(plan.slice_samples / _LEGS, calibration)
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
        from_scratch = wishes.from_scratch and left / 2 >= scratch_minimum
        final = int(left / 2 if from_scratch else left)
        final = min(final, _samples(wishes.max_epochs, num_train)) if wishes.max_epochs else final
    return searched.updated(
        generations=generations,
        continued_samples=final,
        scratch_samples=final if from_scratch else 0,
        evaluate_every=_between_looks(num_train, final),
        seconds=seconds,
    )


def _too_short(plan: Plan, wishes: Wishes, calibration: Calibration, seconds: float) -> ConfigError:
    rate = calibration.samples_per_second
    final = wishes.final_samples or plan.slice_samples
    asked = "a final training" if wishes.final_samples is None else f"search.final_samples={wishes.final_samples}"
    before, pace = plan.recipe_search_samples, _pace(plan.slice_samples / _LEGS, calibration)
    missing = ((plan.baseline_samples + final + before / pace) / rate - seconds) / _SAFETY
    budget, least = _least(wishes, calibration, missing)
    baseline = "a baseline, what is tried of the recipe" if before else "a baseline"
    return ConfigError(
        f"{budget} is too little: this machine trains {rate:.0f} samples a second, so that {baseline} and {asked} need "
        f"at least {least}"
    )


def _within_trials(plan: Plan, wishes: Wishes) -> Plan:
    trials, spent = wishes.trials_left, wishes.spent_trials
    thaw_trials = wishes.thaw.trials if plan.thaw_samples else 0
    assert trials is not None
    num_finals = min(2, plan.front_size or plan.num_finals)  # further members of a front get what generations leave
    if trials <= num_finals:
        raise ConfigError(
            f"budget.trials={spent + trials} is smaller than a study; allowed is {spent + 1 + num_finals} or more (a "
            f"baseline and the final training{_after(spent)}), or search=none for a single one"
        )
    left = trials - 1 - num_finals
    if thaw_trials > left:
        plan = plan.updated(thaw_samples=0)
    else:
        left -= thaw_trials
    generations = min(plan.generations, left // plan.trials_per_generation)
    members = min(plan.front_size, trials - 1 - generations * plan.trials_per_generation)
    return plan.updated(generations=generations, front_size=members)


def _note(plan: Plan, num_train: int) -> str:
    if plan.try_samples:
        most = f"{plan.tries} tries" if plan.tries else "tries"
        return f"{most} of up to {plan.try_samples:,} samples each, {plan.sweep_samples:,} at most in all"
    if not plan.continued_samples:
        epochs = plan.baseline_samples / num_train
        return f"one training of up to {plan.baseline_samples:,} samples ({epochs:.1f} epochs)"
    generations = "1 generation" if plan.generations == 1 else f"{plan.generations} generations"
    race = f", a race of optimisers of {plan.race_samples + plan.range_test_samples:,}" if plan.race_samples else ""
    race += f", more of the network for {plan.thaw_samples:,}" if plan.thaw_samples else ""
    tuning = [f"{each:,}" for each in (plan.tuning_before_samples, plan.tuning_after_samples) if each]
    race += f", hyper-parameters for {' and '.join(tuning)}" if tuning else ""
    halves = f" and {plan.edits_per_generation} half ones" if plan.halving else ""
    return (
        f"a baseline of {plan.baseline_samples:,} samples, {generations} of {plan.trials_per_generation} slices of "
        f"{plan.slice_samples:,}{halves}{race}, {_finals(plan)}"
    )


def _finals(plan: Plan) -> str:
    if plan.front_size and plan.num_finals > 1:
        return f"final trainings of up to {plan.num_finals} networks of the front, {plan.continued_samples:,} in all"
    finals = "two final trainings" if plan.scratch_samples else "a final training"
    return f"{finals} of {plan.continued_samples:,}"


def _shortfall(plan: Plan, generations: int | None) -> str:
    if generations is None or plan.generations >= generations:
        return ""
    return f"; the budget leaves no room for search.generations={generations}"


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


def seconds_left(
    minutes: float | None, wh: float | None, calibration: Calibration | None, spent_seconds: float, spent_wh: float
) -> float | None:
    """For training, by the clock and by watt-hours, whichever is less; what the end of a study takes is reserved."""
    if calibration is None:
        return None
    left = []
    if minutes is not None:
        left.append(minutes * 60 - spent_seconds)
    if wh is not None:
        left.append((wh - spent_wh) * JOULES_PER_WH / _watts(calibration, wh))
    return min(left) - RESERVED_SECONDS if left else None


def _watts(calibration: Calibration, wh: float) -> float:
    if not calibration.watts:
        raise ConfigError(
            f"budget.wh={wh:g} cannot be kept: this system does not say what a process uses; allowed is null here, and "
            "budget.minutes or budget.samples instead"
        )
    return calibration.watts


def _least(wishes: Wishes, calibration: Calibration, missing_seconds: float) -> tuple[str, str]:
    """The budget as it was typed, and the least that would do, rounded up."""
    more = missing_seconds + 0.6
    budgets, least = [], []
    if wishes.minutes is not None:
        budgets.append(f"budget.minutes={wishes.minutes:g}")
        least.append(f"{math.ceil((wishes.minutes * 60 + more) / 6) / 10:.1f} minutes")
    if wishes.wh is not None:
        needed = wishes.wh + more * _watts(calibration, wishes.wh) / JOULES_PER_WH
        budgets.append(f"budget.wh={wishes.wh:g}")
        least.append(f"{needed * 1.01:.3g} watt-hours")
    return " with ".join(budgets), " and ".join(least)


def _after(spent: int) -> str:
    return f", and {spent:,} for finding a selection or an augmentation" if spent else ""


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
            f"budget.samples={spent + samples} is smaller than a study{_after(spent)}; allowed is "
            f"{spent + fixed + least} or more on this data"
        )
    return plan.updated(**{name: amount * room // total for name, amount in amounts.items()})
