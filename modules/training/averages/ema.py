"""The exponential moving average of the weights (Polyak and Juditsky 1992; Tarvainen and Valpola 2017)."""

from typing import ClassVar

from modules.training.progress import Progress

REVISION = 1

_WARMUP = 8  # the half-life is never longer than this fraction of the samples seen, so that the start is forgotten


class Ema:
    """Weights count half as much as those that came `half_life_samples` later; None waits for a rule to fill it."""

    refreshes_statistics: ClassVar[bool] = False

    def __init__(self, half_life_samples: float | None = None) -> None:
        self.half_life_samples = half_life_samples

    def weight(self, num_samples: int, seen: int, progress: Progress) -> float:
        """How far the average moves towards the weights after a batch of `num_samples`, `seen` in the whole stream."""
        assert self.half_life_samples is not None
        half_life = max(num_samples, min(self.half_life_samples, seen / _WARMUP))
        return float(1.0 - 0.5 ** (num_samples / half_life))
