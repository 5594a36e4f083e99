"""No average: the weights themselves are judged."""

from typing import ClassVar

from modules.training.progress import Progress

REVISION = 1


class NoAverage:
    """The weights as they are after the last update."""

    refreshes_statistics: ClassVar[bool] = False

    def weight(self, num_samples: int, seen: int, progress: Progress) -> float:
        """How far the average moves towards the weights: all the way."""
        return 1.0
