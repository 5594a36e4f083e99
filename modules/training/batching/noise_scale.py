"""A batch that follows the gradient's noise scale (McCandlish et al. 2018, arXiv 1812.06162)."""

import statistics
from typing import ClassVar

from modules.training.batching.growth import grown
from modules.training.progress import Progress

REVISION = 1

_SMOOTHED = 3  # measurements


class NoiseScale:
    """Doubles the first batch until it reaches `ratio` times the noise scale, up to `max_batch_size`; never shrinks."""

    grows: ClassVar[bool] = True
    needs_noise_scale: ClassVar[bool] = True

    def __init__(self, ratio: float = 1.0, max_batch_size: int = 2048) -> None:
        self.ratio = ratio
        self.max_batch_size = max_batch_size

    def batch_size(self, first: int, progress: Progress) -> int:
        """The size of the next batch; `first` until the noise scale was measured."""
        wanted = min(self.ratio * _largest_median(progress.noise_scales), self.max_batch_size)
        doublings = 0
        while first << doublings < wanted:
            doublings += 1
        return grown(first, 2.0, doublings, self.max_batch_size)


def _largest_median(noise_scales: tuple[float | None, ...]) -> float:
    """Of the last few measurements as they were at every look: what was once reached is kept."""
    measured = [scale for scale in noise_scales if scale is not None]
    windows = [measured[max(0, end - _SMOOTHED) : end] for end in range(1, len(measured) + 1)]
    return max((statistics.median(window) for window in windows), default=0.0)
