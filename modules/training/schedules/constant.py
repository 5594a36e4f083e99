"""A constant rate."""

from modules.training.progress import Progress

REVISION = 1


class Constant:
    """1, after a linear warm-up over the first `warmup_fraction` of the samples."""

    def __init__(self, warmup_fraction: float = 0.0) -> None:
        self.warmup_fraction = warmup_fraction

    def factor(self, progress: Progress) -> float:
        """The factor on the learning rate."""
        if progress.fraction >= self.warmup_fraction:
            return 1.0
        return max(progress.fraction / self.warmup_fraction, 1e-3)
