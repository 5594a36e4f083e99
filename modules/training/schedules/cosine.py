"""Half a cosine down (Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5, one period)."""

import math

from modules.training.progress import Progress
from modules.training.warmup import WarmedUp

REVISION = 1


class Cosine(WarmedUp):
    """From 1 to `final_factor` along half a cosine over the samples after the warm-up."""

    def __init__(self, final_factor: float = 0.0, warmup_fraction: float = 0.0) -> None:
        super().__init__(warmup_fraction)
        self.final_factor = final_factor

    def decay(self, progress: Progress) -> float:
        """The factor after the warm-up."""
        return self.final_factor + (1.0 - self.final_factor) * 0.5 * (1.0 + math.cos(math.pi * progress.fraction))
