"""What happened in a training so far: the part of its state that is no tensor."""

import statistics
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from modules.energy.meter import Meter
from modules.records import CurvePoint
from modules.training.progress import Progress

_RECENT = 20  # updates
_RETREAT = 0.5  # what remains of the rate each time the training went back


@dataclass
class History:
    """Counts and looks since the training began; as JSON, a part of each checkpoint."""

    total_samples: int
    epoch_samples: int
    samples: int = 0
    updates: int = 0
    retreats: int = 0  # how often it went back to its last good state, each time with a smaller rate
    losses_since_look: list[float] = field(default_factory=list)
    recent_losses: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    curve: list[CurvePoint] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    meter: Meter | None = None
    wh_before: float = 0.0  # watt-hours of an interrupted attempt

    @property
    def seconds(self) -> float:
        """Of this training, with those before an interruption."""
        return time.monotonic() - self.started

    @property
    def energy_wh(self) -> float | None:
        """Of this training, with that before an interruption; None where the system does not say."""
        return None if self.meter is None else self.wh_before + self.meter.read().wh

    @property
    def progress(self) -> Progress:
        """What schedules may depend on."""
        return Progress(
            samples=self.samples,
            total_samples=self.total_samples,
            updates=self.updates,
            epoch_samples=self.epoch_samples,
            steer_losses=tuple(point.steer_loss for point in self.curve),
            noise_scales=tuple(point.noise_scale for point in self.curve),
        )

    @property
    def rate_factor(self) -> float:
        """What its retreats have left of the learning rate."""
        return _RETREAT**self.retreats

    @property
    def recent_loss(self) -> float:
        """The median of the last updates' losses: a single high one may recover."""
        return statistics.median(self.recent_losses) if self.recent_losses else 0.0

    @property
    def best_look(self) -> int:
        """The look with the lowest loss on *steer*."""
        return min(range(len(self.curve)), key=lambda look: self.curve[look].steer_loss)

    def count(self, num_samples: int, loss: float) -> None:
        """An update was made."""
        self.samples += num_samples
        self.updates += 1
        self.losses_since_look.append(loss)
        self.recent_losses.append(loss)

    def look(self, point: CurvePoint) -> None:
        """*Steer* was looked at."""
        self.curve.append(point)
        self.losses_since_look.clear()

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return {
            "samples": self.samples,
            "updates": self.updates,
            "retreats": self.retreats,
            "seconds": self.seconds,
            "losses_since_look": [*self.losses_since_look],
            "recent_losses": [*self.recent_losses],
            "curve": [point.model_dump() for point in self.curve],
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Go back to what `to_json` gave; only the time since this process began to train stays spent."""
        self.samples, self.updates, self.retreats = kept["samples"], kept["updates"], kept["retreats"]
        self.losses_since_look = list(kept["losses_since_look"])
        self.recent_losses = deque(kept["recent_losses"], maxlen=_RECENT)
        self.curve = [CurvePoint.model_validate(point) for point in kept["curve"]]
