"""Exponential decay."""

from modules.training.progress import Progress
from modules.training.warmup import WarmedUp

REVISION = 1


class Exponential(WarmedUp):
    """`gamma` to the power of the epochs since the warm-up, fractions of an epoch included."""

    def __init__(self, gamma: float = 0.9, warmup_fraction: float = 0.0) -> None:
        super().__init__(warmup_fraction)
        self.gamma = gamma

    def decay(self, progress: Progress) -> float:
        """The factor after the warm-up."""
        return float(self.gamma**progress.epochs)
