"""How fast this machine trains a recipe: the measurement that turns a budget of minutes into samples."""

import statistics
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from modules.store import Store
from modules.training.spec import TrialSpec
from modules.training.trial import Training
from modules.workers.jobs import Report, job

_UPDATES = 60
_WARMUP_UPDATES = 10


class _Stopwatch(pl.Callback):
    """Notes when each update begins; stops after some."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.marks.append(time.monotonic())

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        trainer.should_stop = len(self.marks) == _UPDATES


@job
def calibrate(spec: dict[str, Any], home: str, report: Report) -> dict[str, Any]:
    """Train some batches of a recipe and look once at *steer*: samples a second (median) and seconds for the look."""
    parsed = TrialSpec.model_validate(spec)
    training = Training(parsed, Path(home), Store(Path(home) / "store"), report)
    stopwatch = _Stopwatch()
    training.run_with([stopwatch, training.decay, training.average])
    laps = [after - before for before, after in zip(stopwatch.marks, stopwatch.marks[1:], strict=False)]
    before_look = time.monotonic()
    training.average.prepare(training.optimizer)
    training.steer.observe()
    return {
        "samples_per_second": parsed.recipe.batch_size / statistics.median(laps[_WARMUP_UPDATES:]),
        "evaluation_seconds": time.monotonic() - before_look,
    }
