"""A constant rate."""

from modules.training.progress import Progress
from modules.training.warmup import WarmedUp

REVISION = 1


class Constant(WarmedUp):
    """1, after a linear warm-up over the first `warmup_fraction` of the samples."""

    def __init__(self, warmup_fraction: float = 0.0) -> None:
        super().__init__(warmup_fraction)

    def decay(self, progress: Progress) -> float:
        """The factor after the warm-up."""
        return 1.0
