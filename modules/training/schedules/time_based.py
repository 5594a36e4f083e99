"""Time-based decay, closed form: the rate after n updates is the first rate divided by 1 + decay * n."""

from modules.training.progress import Progress

REVISION = 1


class TimeBased:
    """1 / (1 + `decay` * updates)."""

    def __init__(self, decay: float = 1e-6) -> None:
        self.decay = decay

    def factor(self, progress: Progress) -> float:
        """The factor on the learning rate."""
        return 1.0 / (1.0 + self.decay * progress.updates)
