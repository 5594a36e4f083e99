"""The range test of learning rates: a short training at rates that grow, and the rate that its losses speak for.

Smith 2017 (arXiv 1506.01186). The rate is multiplied by a constant after each update; the training loss, smoothed,
first falls, then flattens and rises. What is picked is the first rate at which it has fallen most of the way: the one
with the lowest loss is about to explode.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from modules.store import Store
from modules.training.callbacks.learning_rate_decay import LearningRateDecay
from modules.training.history import History
from modules.training.progress import Progress
from modules.training.spec import RANGE_TEST_UPDATES as UPDATES
from modules.training.spec import TrialSpec
from modules.training.training import Training
from modules.workers.jobs import Report, job

REVISION = 1

_LOWEST = 1e-3  # of the optimiser's default rate
_HIGHEST = 1e2
_SMOOTHING = 0.9
_EXPLODED = 3.0  # times the lowest smoothed loss
_MOST_OF_THE_WAY = 0.9


class Ramp:
    """A factor that grows from `lowest` to `highest` by the same ratio at each update."""

    def __init__(self, lowest: float, highest: float, updates: int) -> None:
        self.lowest = lowest
        self.highest = highest
        self.updates = updates

    def factor(self, progress: Progress) -> float:
        """The factor on the learning rate."""
        return float(self.lowest * (self.highest / self.lowest) ** (progress.updates / (self.updates - 1)))


class _Losses(pl.Callback):
    """Notes the rate and the loss of each update; stops when the loss has exploded."""

    def __init__(self, decay: LearningRateDecay, history: History) -> None:
        self.decay = decay
        self.history = history
        self.rates: list[float] = []
        self.losses: list[float] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = self.history.recent_losses[-1]
        if math.isfinite(loss):
            self.rates.append(self.decay.current)
            self.losses.append(loss)
        seen = smoothed(self.losses)
        if not math.isfinite(loss) or seen[-1] > _EXPLODED * min(seen) or len(self.losses) == UPDATES:
            trainer.should_stop = True


@job
def find_rate(spec: dict[str, Any], home: str, key: str, report: Report) -> dict[str, Any]:
    """Try rates around the recipe's own; stores `range_tests/<key>` and returns rates, smoothed losses and the pick."""
    parsed = TrialSpec.model_validate(spec)
    store = Store(Path(home) / "store")
    samples = UPDATES * parsed.recipe.batch_size
    short = parsed.updated(slice=parsed.slice.updated(samples=samples, evaluate_every=samples))
    training = Training(short, Path(home), store, report)
    training.decay.schedule = Ramp(_LOWEST, _HIGHEST, UPDATES)
    losses = _Losses(training.decay, training.history)
    # In this process alone also where trials have several: batches are the same, and so is what their losses say.
    training.run_with([training.decay, losses])
    curve = smoothed(losses.losses)
    record = {"rates": losses.rates, "losses": curve, "picked": pick_rate(losses.rates, curve)}
    return dict(store.put("range_tests", key, record).record)


def smoothed(losses: Sequence[float]) -> list[float]:
    """The exponential moving average of the losses, without the bias of its start."""
    average, result = 0.0, []
    for number, loss in enumerate(losses, 1):
        average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
        result.append(average / (1 - _SMOOTHING**number))
    return result


def pick_rate(rates: Sequence[float], losses: Sequence[float]) -> float:
    """The first rate at which the smoothed losses have fallen most of the way to their lowest, to two digits."""
    enough = losses[0] - _MOST_OF_THE_WAY * (losses[0] - min(losses))
    first = next(index for index, loss in enumerate(losses) if loss <= enough)
    return float(f"{rates[first]:.2g}")
