"""Steps down."""

from modules.training.progress import Progress
from modules.training.warmup import WarmedUp

REVISION = 1


class Step(WarmedUp):
    """The factor is multiplied by `gamma` after every `every_epochs` epochs since the warm-up."""

    def __init__(self, gamma: float = 0.5, every_epochs: int = 5, warmup_fraction: float = 0.0) -> None:
        super().__init__(warmup_fraction)
        self.gamma = gamma
        self.every_epochs = every_epochs

    def decay(self, progress: Progress) -> float:
        """The factor after the warm-up."""
        return float(self.gamma ** (progress.samples // (self.every_epochs * progress.epoch_samples)))
