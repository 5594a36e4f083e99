"""A batch that grows at milestones, where a rate would fall (Smith et al. 2018, arXiv 1711.00489)."""

from typing import ClassVar

from modules.training.batching.growth import grown
from modules.training.progress import Progress

REVISION = 1


class Milestones:
    """Grows by `factor` after each of the `fractions` of the samples, up to `max_batch_size`.

    Where a training goes on from another one, they are of the samples of both.
    """

    grows: ClassVar[bool] = True
    needs_noise_scale: ClassVar[bool] = False

    def __init__(self, fractions: list[float], factor: float = 2.0, max_batch_size: int = 2048) -> None:
        self.fractions = fractions
        self.factor = factor
        self.max_batch_size = max_batch_size

    def batch_size(self, first: int, progress: Progress) -> int:
        """The size of the next batch."""
        passed = sum(fraction <= progress.fraction for fraction in self.fractions)
        return grown(first, self.factor, passed, self.max_batch_size)
