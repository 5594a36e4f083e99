"""Stochastic weight averaging (Izmailov et al. 2018, arXiv:1803.05407)."""

from typing import ClassVar

from modules.training.progress import Progress

REVISION = 1


class Swa:
    """The mean of all weights since `start_fraction` of the samples, each counted by its samples; none before."""

    refreshes_statistics: ClassVar[bool] = True

    def __init__(self, start_fraction: float = 0.75) -> None:
        self.start_fraction = start_fraction

    def weight(self, num_samples: int, seen: int, progress: Progress) -> float:
        """How far the average moves towards the weights after a batch of `num_samples`."""
        averaged = progress.samples - self.start_fraction * progress.total_samples
        return num_samples / max(averaged, num_samples)
