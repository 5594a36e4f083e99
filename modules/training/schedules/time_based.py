"""Time-based decay, in both readings of the classic recipe."""

import math
from typing import Literal

from modules.training.progress import Progress
from modules.training.warmup import WarmedUp

REVISION = 1

_SMALL_DECAY = 1e-2  # up to here Euler and Maclaurin's formula is exact to rounding


class TimeBased(WarmedUp):
    """`closed`: 1/(1 + `decay` n) after n updates; `compounding`: update n divides the factor by 1 + `decay` n.

    The updates of a warm-up count as well.
    """

    def __init__(
        self,
        decay: float = 1e-6,
        reading: Literal["closed", "compounding"] = "closed",
        warmup_fraction: float = 0.0,
    ) -> None:
        super().__init__(warmup_fraction)
        self.decay_per_update = decay
        self.reading = reading

    def decay(self, progress: Progress) -> float:
        """The factor after the warm-up."""
        if self.reading == "closed":
            return 1.0 / (1.0 + self.decay_per_update * progress.updates)
        return math.exp(-log_rising_product(self.decay_per_update, progress.updates))


def log_rising_product(step: float, count: int) -> float:
    """The logarithm of (1 + step)(1 + 2 step)…(1 + count step), without multiplying."""
    end = step * count
    if end == 0.0:
        return 0.0
    if step > _SMALL_DECAY:
        # step^count Γ(count + 1 + 1/step) / Γ(1 + 1/step)
        return count * math.log(step) + math.lgamma(count + 1 + 1 / step) - math.lgamma(1 + 1 / step)
    # the gammas of a small step are so large that their difference has lost its digits: Euler and Maclaurin's sum
    area = ((1.0 + end) * math.log1p(end) - end) / step
    slopes = step / (1.0 + end) - step
    bends = 2.0 * step**3 / (1.0 + end) ** 3 - 2.0 * step**3
    return max(0.0, area + math.log1p(end) / 2 + slopes / 12 - bends / 720)
