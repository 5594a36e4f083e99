"""A plan of four generations, and with a clock: at 100 samples a second finals take 200 s, six slices 60 s."""

from modules.search.pace import Calibration
from modules.search.plan import Plan

CLOCKLESS = Plan(
    baseline_samples=4000,
    generations=4,
    edits_per_generation=3,
    slice_samples=1000,
    continued_samples=10_000,
    scratch_samples=10_000,
    evaluate_every=1000,
)
CALIBRATION = Calibration(samples_per_second=100, evaluation_seconds=0)
TIMED = CLOCKLESS.updated(minutes=12.0, seconds=600.0, calibration=CALIBRATION)
