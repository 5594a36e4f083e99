"""What came of a search for a selection: the account that the ledger's reader gets."""

from collections.abc import Sequence
from typing import Self

from pydantic import Field

from modules.data.corrections import SuspectedLabel
from modules.records import Interval, Part, PartName, Record, TrialResult


class Compared(Record):
    """A selection that was trained and judged on *steer*; losses are mean cross-entropies, errors fractions of 1.

    `trusted` figures leave out the images of *steer* whose labels are suspected; the others are of all of *steer*.
    Effects are differences of the trusted loss: negative is better.
    """

    name: str  # "all", "clean", "prune", "random instead of clean", …
    num_images: int
    samples: int  # that each of its trainings saw
    seconds: float  # of one training
    trusted_loss: float
    trusted_error: float
    loss: float
    error: float
    effect: Interval | None = None  # against all
    against_random: Interval | None = None  # against a random subset of the same size
    p_value: float | None = None  # Holm-adjusted over the candidates
    kept: bool = False
    verdict: str = ""


class FoundSelection(Record):
    """The selection that a study trains on and why."""

    method: str  # clean, prune or auto
    selection: Part
    num_images: int  # training images there are
    num_kept: int
    sentences: tuple[str, ...]  # what a person should know
    num_suspects: dict[PartName, int] = Field(default_factory=dict)
    suspects: tuple[SuspectedLabel, ...] = ()
    compared: tuple[Compared, ...] = ()
    confirmed: Interval | None = None  # the effect against all on *confirm*, without its suspects
    confirmed_on_all: Interval | None = None  # with them
    num_trials: int = 0
    samples: int = 0  # of all its trainings
    seconds: float = 0.0

    def with_trials(self, trials: Sequence[TrialResult]) -> Self:
        """With what these trainings cost."""
        return self.updated(
            num_trials=len(trials),
            samples=sum(trial.samples for trial in trials),
            seconds=sum(trial.seconds for trial in trials),
        )
