"""How fast this machine trains a recipe: the measurement that turns a budget of minutes into samples."""

import math
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from modules.energy.meter import JOULES_PER_WH, MeterChoice, metered
from modules.store import Store
from modules.training.processes import training_together
from modules.training.spec import TrialSpec
from modules.training.training import Training
from modules.workers.jobs import Report, job

_UPDATES = 60
_WARMUP_SHARE = 1 / 6  # of the updates, not timed
_ENOUGH_SECONDS = 8.0  # a large network would take a minute for its 60 updates; these few it takes are as steady
_FEWEST_UPDATES = 6
_BATCH_SIZES = (32, 64, 128, 256, 512, 1024)
_BATCH_SAMPLES = 8_192  # for each of them
_FASTEST = 0.95  # a batch this close to the fastest is fast enough; smaller ones learn more from an image


class _Stopwatch(pl.Callback):
    """Notes when each update begins; stops after some, or after few that took long enough."""

    def __init__(self, updates: int, enough_seconds: float) -> None:
        self.updates = updates
        self.enough_seconds = enough_seconds
        self.marks: list[float] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.marks.append(time.monotonic())

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        is_enough = len(self.marks) > _FEWEST_UPDATES and self.marks[-1] - self.marks[0] > self.enough_seconds
        trainer.should_stop = is_enough or len(self.marks) == self.updates


@job
def calibrate(spec: dict[str, Any], home: str, report: Report, meter: dict[str, Any] | None = None) -> dict[str, Any]:
    """Train some batches of a recipe and look once at *steer*.

    Samples a second (median), seconds for the look, and the watts that it took.
    """
    parsed = TrialSpec.model_validate(spec)
    with metered(MeterChoice.model_validate(meter or {})) as opened:
        began = time.monotonic()
        training, seconds = _timed(parsed, Path(home), report, _UPDATES)
        watts = opened.read().wh * JOULES_PER_WH / (time.monotonic() - began) if opened else None
    before_look = time.monotonic()
    training.average.prepare(training.optimizer)
    training.steer.observe()
    return {
        "samples_per_second": parsed.recipe.batch_size / seconds,
        "evaluation_seconds": time.monotonic() - before_look,
        "watts": watts,
    }


@job
def measure_batch_sizes(spec: dict[str, Any], home: str, key: str, largest: int, report: Report) -> dict[str, Any]:
    """Samples a second at several batch sizes up to `largest`, and the pick; stored as `batch_sizes/<key>`."""
    parsed = TrialSpec.model_validate(spec)
    rates = {}
    for size in [size for size in _BATCH_SIZES if size <= largest] or [largest]:
        sized = parsed.updated(recipe=parsed.recipe.updated(batch_size=size))
        updates = max(2 * _FEWEST_UPDATES, _BATCH_SAMPLES // size)
        _, seconds = _timed(sized, Path(home), report, updates)
        rates[size] = size / seconds
    record = {"samples_per_second": {str(size): rate for size, rate in rates.items()}, "picked": pick_size(rates)}
    return dict(Store(Path(home) / "store").put("batch_sizes", key, record).record)


def pick_size(rates: Mapping[int, float]) -> int:
    """The smallest batch size that is nearly as fast as the fastest."""
    return min(size for size, rate in rates.items() if rate >= _FASTEST * max(rates.values()))


@job
def time_along(spec: dict[str, Any], home: str, updates: int, rank: int, port: int, report: Report) -> dict[str, Any]:
    """What a sibling does while updates are timed."""
    _timed(TrialSpec.model_validate(spec), Path(home), report, updates, rank, port)
    return {}


def _timed(
    spec: TrialSpec, home: Path, report: Report, updates: int, rank: int = 0, port: int = 0
) -> tuple[Training, float]:
    """A training after so many updates, and the median seconds of one, in as many processes as a trial has."""
    training = Training(spec, home, Store(home / "store"), report)
    # Processes that train together have to stop at the same update, which clocks of their own would not tell them.
    stopwatch = _Stopwatch(updates, _ENOUGH_SECONDS if spec.numerics.devices == 1 else math.inf)
    along = {"spec": spec.model_dump(mode="json"), "home": str(home), "updates": updates}
    with training_together(spec.numerics, home, "modules.training.calibration.time_along", along, rank, port):
        training.run_with([stopwatch, training.decay, training.average])
    laps = [after - before for before, after in zip(stopwatch.marks, stopwatch.marks[1:], strict=False)]
    return training, statistics.median(laps[math.ceil(len(laps) * _WARMUP_SHARE) :])
