"""How far a training is: all that schedules of the rate and of the batch may depend on, and nothing else."""

from typing import NamedTuple


class Progress(NamedTuple):
    """Samples and updates done, of how many, and what the looks at *steer* said so far.

    Schedules of the rate go by that of this training. A batch that grows goes by that of the lineage: by all slices
    since it began, of which this training is the last.
    """

    samples: int
    total_samples: int
    updates: int
    epoch_samples: int = 1  # images in an epoch
    steer_losses: tuple[float, ...] = ()  # one a look, the latest last
    noise_scales: tuple[
        float | None, ...
    ] = ()  # one a look: the gradient's, in samples; None where it was not measured
    fraction_before: float = 0.0  # what the earlier slices of the lineage came to

    @property
    def fraction(self) -> float:
        """Of the samples, from 0 to 1; a slice that puts the end off takes nothing back."""
        return max(self.fraction_before, min(1.0, self.samples / self.total_samples))

    @property
    def epochs(self) -> float:
        """Epochs seen, with fractions."""
        return self.samples / self.epoch_samples

    def following(self, before: "Progress") -> "Progress":
        """The same moment as the lineage sees it that had come as far as `before` when this training began."""
        return self._replace(
            samples=before.samples + self.samples,
            total_samples=before.samples + self.total_samples,
            updates=before.updates + self.updates,
            steer_losses=before.steer_losses + self.steer_losses,
            noise_scales=before.noise_scales + self.noise_scales,
            fraction_before=before.fraction,
        )

    def after(self, fraction: float) -> "Progress":
        """The same moment as a training sees it that began after `fraction` of this one; updates count as before."""
        skipped = round(fraction * self.total_samples)  # 0.57 * 100 is 56.99… in floats
        return self._replace(samples=max(0, self.samples - skipped), total_samples=max(1, self.total_samples - skipped))


BEGINNING = Progress(samples=0, total_samples=1, updates=0)  # of a lineage
