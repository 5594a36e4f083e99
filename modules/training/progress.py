"""How far a training is: all that schedules of the rate and of the batch may depend on, and nothing else."""

from typing import NamedTuple


class Progress(NamedTuple):
    """Samples and updates done in this training, of how many, and what the looks at *steer* said so far."""

    samples: int
    total_samples: int
    updates: int
    epoch_samples: int = 1  # images in an epoch
    steer_losses: tuple[float, ...] = ()  # one a look, the latest last
    noise_scales: tuple[
        float | None, ...
    ] = ()  # one a look: the gradient's, in samples; None where it was not measured

    @property
    def fraction(self) -> float:
        """Of the samples, from 0 to 1."""
        return min(1.0, self.samples / self.total_samples)

    @property
    def epochs(self) -> float:
        """Epochs seen, with fractions."""
        return self.samples / self.epoch_samples

    def after(self, fraction: float) -> "Progress":
        """The same moment as a training sees it that began after `fraction` of this one; updates count as before."""
        skipped = round(fraction * self.total_samples)  # 0.57 * 100 is 56.99… in floats
        return self._replace(samples=max(0, self.samples - skipped), total_samples=max(1, self.total_samples - skipped))
