"""How far a training is."""

from typing import NamedTuple


class Progress(NamedTuple):
    """A moment of a training: what is done of what is planned."""

    samples: int
    total_samples: int
    updates: int

    @property
    def fraction(self) -> float:
        """The part that is done, from 0 to 1."""
        return min(1.0, self.samples / self.total_samples)
