"""The warm-up that schedules of the learning rate have in common."""

from abc import ABC, abstractmethod

from modules.training.progress import Progress

REVISION = 2

_FIRST = 1e-3  # so that the first update is not lost


class WarmedUp(ABC):
    """A schedule whose factor first rises to 1, linearly over the first `warmup_fraction` of the samples."""

    def __init__(self, warmup_fraction: float) -> None:
        self.warmup_fraction = warmup_fraction

    def factor(self, progress: Progress) -> float:
        """The factor on the learning rate."""
        if progress.fraction >= self.warmup_fraction:
            return self.decay(progress.after(self.warmup_fraction))
        return max(progress.fraction / self.warmup_fraction, _FIRST)

    @abstractmethod
    def decay(self, progress: Progress) -> float:
        """The factor after the warm-up, which `progress` no longer counts."""
