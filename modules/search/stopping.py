"""When a study stops looking, and how long its final training may then be. Decisions are made once and stored."""

from modules.search.plan import RESERVED_SECONDS, Plan


def why_stop(plan: Plan, number: int, seconds: float, steer_error: float, target_error: float | None) -> str | None:
    """A sentence if generation `number` should not be started; None to go on."""
    if target_error is not None and steer_error <= target_error:
        return f"the target was reached: {steer_error:.2%} error on steer, asked for {target_error:.2%}"
    if plan.seconds is None or plan.calibration is None or plan.minutes is None:
        return None
    share = _planned_seconds(plan, number) / plan.seconds
    allowed = plan.minutes * 60 * share
    if seconds > allowed:
        return f"the clock: {seconds:.0f} s were used, and after generation {number} the plan had {allowed:.0f} s"
    return None


def _planned_seconds(plan: Plan, number: int) -> float:
    """What the plan counted on for the baseline and the generations up to `number`."""
    assert plan.calibration is not None
    assert plan.seconds is not None
    final = (plan.continued_samples + plan.scratch_samples) / plan.calibration.samples_per_second
    per_generation = (plan.seconds - final) / max(1, plan.generations)
    return per_generation * number


def final_samples(plan: Plan, seconds: float, seconds_per_sample: float) -> int:
    """How long each final training may be: as planned, or shorter where the time left does not suffice."""
    if plan.minutes is None:
        return plan.continued_samples
    runs = 2 if plan.scratch_samples else 1
    left = (plan.minutes * 60 - seconds - RESERVED_SECONDS) * 0.95
    affordable = int(left / runs / seconds_per_sample)
    return max(plan.slice_samples, min(plan.continued_samples, affordable))
