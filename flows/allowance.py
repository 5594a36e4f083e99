"""What may be trained of a budget before the study is planned, and the plan of what such trainings have left of it."""

from flows.study import Study
from flows.translation import configured_wishes
from modules.errors import ConfigError
from modules.recipe import Recipe
from modules.search.pace import Calibration, samples_within
from modules.search.plan import Plan, Wishes
from modules.search.planning import make_plan, training_seconds

_FEWEST_TRIALS = 3  # that the study itself needs


def wishes_of(study: Study) -> Wishes:
    """What the plan is asked for, and what finding a selection and an augmentation has taken of it."""
    wishes = configured_wishes(study.settings)
    for found in (study.found, study.policy):
        if found is not None:
            wishes = wishes.spent(found.samples, found.num_trials)
    return wishes


def seconds_for(study: Study, calibration: Calibration) -> float:
    """For training, of the minutes and the watt-hours that are left; ConfigError where nothing is."""
    return training_seconds(configured_wishes(study.settings), calibration, study.clock.seconds, study.energy.wh)


def seconds_left(study: Study, calibration: Calibration) -> float | None:
    """As `seconds_for`, zero where nothing is left, None where nothing is limited."""
    if not configured_wishes(study.settings).needs_calibration:
        return None
    try:
        return seconds_for(study, calibration)
    except ConfigError:
        return 0.0


def samples_for(study: Study, calibration: Calibration | None) -> float | None:
    """What may be trained in `seconds_for`; None without a clock."""
    return None if calibration is None else seconds_for(study, calibration) * calibration.samples_per_second


def new_plan(study: Study, wishes: Wishes, recipe: Recipe, calibration: Calibration | None) -> Plan:
    """What is wished for, shared out among trainings on the recipe's images, with what earlier studies taught."""
    num_train = study.laboratory.num_selected(recipe)
    plan = make_plan(wishes, num_train, calibration, study.clock.seconds, study.energy.wh)
    return plan.updated(prior=study.prior.content_digest if study.prior.lessons else None)


def affordable_samples(study: Study, recipe: Recipe, share: float, num_trials: int, what: str) -> float | None:
    """The samples that a share of what is left of the budget pays for in so many trainings; None where nothing is set.

    ConfigError where a budget of trials does not pay for them and the study; `what` asks for them.
    """
    wishes = wishes_of(study)
    least = wishes.spent_trials + num_trials + _FEWEST_TRIALS
    if wishes.trials is not None and wishes.trials < least:
        raise ConfigError(
            f"budget.trials={wishes.trials} is too small for {what}, which trains {num_trials}; allowed is {least} or "
            f"more, or {what.partition('=')[0]}=none"
        )
    room = [] if wishes.samples_left is None else [share * wishes.samples_left]
    if wishes.needs_calibration:
        calibration = study.laboratory.calibrate(recipe)
        room.append(samples_within(share * seconds_for(study, calibration), calibration, num_trials))
    return min(room, default=None)
