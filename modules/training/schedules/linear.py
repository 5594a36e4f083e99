"""A straight line down."""

from modules.training.progress import Progress
from modules.training.warmup import WarmedUp

REVISION = 1


class Linear(WarmedUp):
    """From 1 to `final_factor`, linearly in the samples seen after the warm-up."""

    def __init__(self, final_factor: float = 0.0, warmup_fraction: float = 0.0) -> None:
        super().__init__(warmup_fraction)
        self.final_factor = final_factor

    def decay(self, progress: Progress) -> float:
        """The factor after the warm-up."""
        return 1.0 + (self.final_factor - 1.0) * progress.fraction
