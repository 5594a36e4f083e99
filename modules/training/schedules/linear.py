"""A straight line down."""

from modules.training.progress import Progress

REVISION = 1


class Linear:
    """From 1 to `final_factor`, linearly in the samples seen."""

    def __init__(self, final_factor: float = 0.0) -> None:
        self.final_factor = final_factor

    def factor(self, progress: Progress) -> float:
        """The factor on the learning rate."""
        return 1.0 + (self.final_factor - 1.0) * progress.fraction
