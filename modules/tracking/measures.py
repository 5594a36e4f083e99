"""The figures of a trial under the names that MLflow shows; a study's run carries its champion's under the same."""

from collections.abc import Iterator
from typing import NamedTuple

from modules.records import CurvePoint
from modules.tracking.records import TrialRun


class Measure(NamedTuple):
    """One value of a metric; `step` is samples seen, `at` unix seconds."""

    name: str
    value: float
    step: int
    at: float


def curve_measures(trial: TrialRun) -> Iterator[Measure]:
    """The learning curve over samples seen."""
    for point in trial.result.curve:
        for name, value in _of_point(point).items():
            yield Measure(name, value, point.samples, trial.result.started_at + point.seconds)


def final_figures(trial: TrialRun) -> dict[str, float]:
    """What the trial came to; figures that were not opened are left out."""
    result = trial.result
    figures = {
        "steer/loss": result.steer_loss,
        "steer/error": result.steer_error,
        "confirm/loss": trial.confirm_loss,
        "confirm/error": trial.confirm_error,
        "test/loss": trial.test_loss,
        "test/error": trial.test_error,
        "trial/seconds": result.seconds,
        "trial/energy_wh": result.energy_wh,
        "trial/co2_g": trial.co2_g,
        "trial/samples": result.samples,
        "trial/epochs": result.epochs,
        "trial/updates": result.updates,
        "trial/peak_memory_mb": result.peak_memory_bytes / 1e6,
        "model/params": result.params,
        "model/flops": result.flops,
    }
    return {name: float(value) for name, value in figures.items() if value is not None}


def final_measures(trial: TrialRun) -> Iterator[Measure]:
    """`final_figures` after the last sample, without those that the curve ends with."""
    result = trial.result
    ends = {
        name: value
        for point in result.curve
        if point.samples == result.samples
        for name, value in _of_point(point).items()
    }
    for name, value in final_figures(trial).items():
        if ends.get(name) != value:
            yield Measure(name, value, result.samples, result.finished_at)


def _of_point(point: CurvePoint) -> dict[str, float]:
    return {
        "train/loss": point.train_loss,
        "steer/loss": point.steer_loss,
        "steer/error": point.steer_error,
        "train/learning_rate": point.learning_rate,
        "train/batch_size": float(point.batch_size),
        "train/epoch": float(point.epoch),
    }
