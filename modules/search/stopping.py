"""When a study stops looking, and how long its final training may then be. Decisions are made once and stored."""

from modules.search.pace import samples_within
from modules.search.plan import Plan

_FINAL_SHARE = 0.7  # of the planned final training that must still fit after one more generation


def why_stop(
    plan: Plan,
    *,
    seconds: float,
    wh: float,
    steer_error: float,
    target_error: float | None,
    in_vain: int,
    patience: int | None,
    slowdown: float,
) -> str | None:
    """A sentence if no further generation should be started after `seconds` and `wh` of the study; None to go on.

    `in_vain` generations in a row kept no edit; after `patience` of them the search gives up. Trainings take
    `slowdown` times as long as was calibrated.
    """
    if target_error is not None and steer_error <= target_error:
        return f"the target was reached: {steer_error:.2%} error on steer, asked for {target_error:.2%}"
    if patience is not None and in_vain >= patience:
        return f"no edit has paid for {in_vain} generations, which is what search.patience allows"
    left = plan.seconds_left(seconds, wh)
    if left is None or plan.calibration is None:
        return None
    rate = plan.calibration.samples_per_second / slowdown
    generation = plan.generation_samples / rate
    final = _FINAL_SHARE * (plan.continued_samples + plan.scratch_samples) / rate
    if generation + final > left:
        return f"{_used(plan, seconds, wh)}, and another generation would leave too little for the final training"
    return None


def used_up(plan: Plan, wh: float) -> str | None:
    """A sentence if the watt-hours are used up, so that no training should be started that could be left out."""
    if plan.wh is None or wh < plan.wh:
        return None
    return f"budget.wh={plan.wh:g} is used up"


def _used(plan: Plan, seconds: float, wh: float) -> str:
    used = []
    if plan.minutes is not None:
        used.append(f"the clock: {seconds:.0f} of {plan.minutes * 60:.0f} seconds are used")
    if plan.wh is not None:
        used.append(f"energy: {wh:.3g} of {plan.wh:g} watt-hours are used")
    return "; ".join(used)


def slowdown_of(plan: Plan, samples: int, seconds: float, num_trials: int = 1) -> float:
    """How many times as long as was calibrated so many trainings took, at least 1: edits make networks slower."""
    if plan.calibration is None or not samples:
        return 1.0
    return max(1.0, samples_within(seconds, plan.calibration, num_trials) / samples)


def budget_allows(plan: Plan, seconds: float, wh: float, samples: int, slowdown: float = 1.0) -> bool:
    """Whether there is time and energy to train so many samples and for what comes after the search."""
    left = plan.seconds_left(seconds, wh)
    if left is None or plan.calibration is None:
        return True
    final = _FINAL_SHARE * (plan.continued_samples + plan.scratch_samples)
    return (samples + final) * slowdown / plan.calibration.samples_per_second <= left


def final_samples(plan: Plan, *, seconds: float, wh: float, seconds_per_sample: float, may_grow: bool) -> int:
    """How long each final training may be: as planned, or shorter where the time left does not suffice.

    Where it `may_grow`, it gets all the time that is left.
    """
    left = plan.seconds_left(seconds, wh)
    if left is None:
        return plan.continued_samples
    runs = 2 if plan.scratch_samples else 1
    affordable = int(left * 0.95 / runs / seconds_per_sample)
    allowed = max(plan.slice_samples, affordable)
    return allowed if may_grow else min(plan.continued_samples, allowed)
