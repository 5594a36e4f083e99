"""When a study stops looking, and how long its final training may then be. Decisions are made once and stored."""

from modules.search.plan import RESERVED_SECONDS, Plan

_FINAL_SHARE = 0.7  # of the planned final training that must still fit after one more generation


def why_stop(plan: Plan, seconds: float, steer_error: float, target_error: float | None) -> str | None:
    """A sentence if no further generation should be started after `seconds` of the study; None to go on."""
    if target_error is not None and steer_error <= target_error:
        return f"the target was reached: {steer_error:.2%} error on steer, asked for {target_error:.2%}"
    if plan.minutes is None or plan.calibration is None:
        return None
    rate = plan.calibration.samples_per_second
    generation = plan.trials_per_generation * plan.slice_samples / rate
    final = _FINAL_SHARE * (plan.continued_samples + plan.scratch_samples) / rate
    if seconds + generation + final + RESERVED_SECONDS > plan.minutes * 60:
        return (
            f"the clock: {seconds:.0f} of {plan.minutes * 60:.0f} seconds are used, and another generation would leave "
            "too little for the final training"
        )
    return None


def final_samples(plan: Plan, seconds: float, seconds_per_sample: float) -> int:
    """How long each final training may be: as planned, or shorter where the time left does not suffice."""
    if plan.minutes is None:
        return plan.continued_samples
    runs = 2 if plan.scratch_samples else 1
    left = (plan.minutes * 60 - seconds - RESERVED_SECONDS) * 0.95
    affordable = int(left / runs / seconds_per_sample)
    return min(plan.continued_samples, max(plan.slice_samples, affordable))
