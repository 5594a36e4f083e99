"""Half a cosine down (Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5, one period)."""

import math

from modules.training.progress import Progress

REVISION = 1


class Cosine:
    """From 1 to `final_factor` along half a cosine over the samples."""

    def __init__(self, final_factor: float = 0.0) -> None:
        self.final_factor = final_factor

    def factor(self, progress: Progress) -> float:
        """The factor on the learning rate."""
        return self.final_factor + (1.0 - self.final_factor) * 0.5 * (1.0 + math.cos(math.pi * progress.fraction))
