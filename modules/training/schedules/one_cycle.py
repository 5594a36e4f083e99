"""Up, then down to nothing (Smith and Topin 2019, arXiv 1708.07120), in straight lines."""

from modules.training.progress import Progress

REVISION = 1


class OneCycle:
    """From `initial_factor` up to 1 over the first `warmup_fraction` of the samples, then down to `final_factor`."""

    def __init__(self, warmup_fraction: float = 0.2, initial_factor: float = 0.1, final_factor: float = 0.0) -> None:
        self.warmup_fraction = warmup_fraction
        self.initial_factor = initial_factor
        self.final_factor = final_factor

    def factor(self, progress: Progress) -> float:
        """The factor on the learning rate."""
        done = progress.fraction
        if done < self.warmup_fraction:
            return self.initial_factor + (1.0 - self.initial_factor) * done / self.warmup_fraction
        return 1.0 + (self.final_factor - 1.0) * (done - self.warmup_fraction) / (1.0 - self.warmup_fraction)
