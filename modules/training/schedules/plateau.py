"""A lower rate on every plateau of the loss on *steer*."""

from modules.training.plateaus import num_plateaus
from modules.training.progress import Progress
from modules.training.warmup import WarmedUp

REVISION = 1


class Plateau(WarmedUp):
    """Multiplied by `factor` on every plateau of the loss on *steer*, down to `min_factor`."""

    def __init__(
        self,
        factor: float = 0.5,
        patience: int = 2,
        threshold: float = 1e-3,
        cooldown: int = 0,
        min_factor: float = 1e-3,
        warmup_fraction: float = 0.0,
    ) -> None:
        super().__init__(warmup_fraction)
        self.reduction = factor
        self.patience = patience
        self.threshold = threshold
        self.cooldown = cooldown
        self.min_factor = min_factor

    def decay(self, progress: Progress) -> float:
        """The factor after the warm-up."""
        plateaus = num_plateaus(progress.steer_losses, self.patience, self.threshold, self.cooldown)
        return max(self.reduction**plateaus, self.min_factor)
