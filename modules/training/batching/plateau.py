"""A batch that grows on every plateau of the loss on *steer*."""

from typing import ClassVar

from modules.training.batching.growth import grown
from modules.training.plateaus import num_plateaus
from modules.training.progress import Progress

REVISION = 1


class Plateau:
    """Grows by `factor` on every plateau of the loss on *steer*, up to `max_batch_size`."""

    grows: ClassVar[bool] = True
    needs_noise_scale: ClassVar[bool] = False

    def __init__(
        self,
        factor: float = 2.0,
        patience: int = 2,
        threshold: float = 1e-3,
        cooldown: int = 0,
        max_batch_size: int = 2048,
    ) -> None:
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.cooldown = cooldown
        self.max_batch_size = max_batch_size

    def batch_size(self, first: int, progress: Progress) -> int:
        """The size of the next batch."""
        plateaus = num_plateaus(progress.steer_losses, self.patience, self.threshold, self.cooldown)
        return grown(first, self.factor, plateaus, self.max_batch_size)
