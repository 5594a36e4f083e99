"""The plan: what a study will train, in samples, fixed before it starts; and the wishes of which it is made."""

from typing import Literal, Self

from modules.records import Record
from modules.search.pace import Calibration, seconds_left

CONTROL_SEEDS = 2
RACE_RUNGS = 2  # of contests from a trained network, which go on for a slice
SWEEP_RUNGS = 3


class Plan(Record):
    """What will be trained, in samples. `seconds` is what that should take, None where nothing was calibrated."""

    baseline_samples: int
    generations: int
    edits_per_generation: int  # that are trained for a whole slice
    slice_samples: int
    continued_samples: int
    scratch_samples: int
    evaluate_every: int  # samples between two looks at *steer* in baseline and final training
    race_samples: int = 0  # for a race of optimisers
    range_test_samples: int = 0  # for finding the rates of those that race
    thaw_samples: int = 0  # for training more of a pretrained network than its last layer
    tuning_before_samples: int = 0  # for hyper-parameters, before the generations and after them
    tuning_after_samples: int = 0
    tries: int | None = None  # of a sweep; None: as many as its samples pay for
    try_samples: int = 0  # of a whole one
    sweep_samples: int = 0
    front_size: int = 0  # members of a front that share the final training, at most; 0: one winner
    prior: str | None = None  # digest of what earlier studies taught
    halving: bool = False  # twice as many edits are begun, and the worse half given up after half a slice
    minutes: float | None = None
    wh: float | None = None
    seconds: float | None = None
    may_grow: bool | None = None  # whether finals get all the time that is left; None: not said yet, see Study.planned
    calibration: Calibration | None = None
    note: str = ""

    def seconds_left(self, spent_seconds: float, spent_wh: float = 0.0) -> float | None:
        """For training, by the clock and by the watt-hours; None where neither is limited."""
        return seconds_left(self.minutes, self.wh, self.calibration, spent_seconds, spent_wh)

    def without_scratch(self) -> "Plan":
        """With the samples for a final training from scratch given to the one that continues."""
        return self.updated(continued_samples=self.continued_samples + self.scratch_samples, scratch_samples=0)

    @property
    def begun_per_generation(self) -> int:
        """How many edits a generation begins to train."""
        return self.edits_per_generation * (2 if self.halving else 1)

    @property
    def trials_per_generation(self) -> int:
        """The control's seeds, the edits and the second seed of the best."""
        return CONTROL_SEEDS + self.edits_per_generation + 1

    @property
    def num_trials(self) -> int:
        """At most, without those of a race, of thawing and of hyper-parameters: their samples pay for many or few."""
        return 1 + self.generations * self.trials_per_generation + self.num_finals

    @property
    def generation_samples(self) -> int:
        """All that a generation trains: its trials, and half a slice for each edit that is given up."""
        return int(slices_per_generation(self.edits_per_generation, self.halving) * self.slice_samples)

    @property
    def recipe_search_samples(self) -> int:
        """For what is tried of the recipe besides the generations."""
        race = self.race_samples + self.range_test_samples
        return race + self.thaw_samples + self.tuning_before_samples + self.tuning_after_samples

    @property
    def num_finals(self) -> int:
        """How many final trainings there are, at most; a front has no more members than were trained."""
        if self.front_size:
            return min(self.front_size, 1 + self.generations * self.edits_per_generation)
        return bool(self.continued_samples) + bool(self.scratch_samples)

    @property
    def total_samples(self) -> int:
        """All that is trained if every generation runs."""
        searched = self.recipe_search_samples + self.sweep_samples
        finals = self.continued_samples + self.scratch_samples
        return self.baseline_samples + searched + self.generations * self.generation_samples + finals


def slices_per_generation(edits: int, halving: bool) -> float:
    """What a generation trains: the control's seeds, the edits, the best again, half of each that is given up."""
    return CONTROL_SEEDS + edits + 1 + (edits / 2 if halving else 0)


class Thaw(Record):
    """What it takes to train more of a pretrained network than its last layer and to judge that."""

    slices: int = 0  # at most
    heads: int = 0  # last layers that are trained for it, each for as long as the baseline
    trials: int = 0


class Wishes(Record):
    """What the configuration says about the plan; None leaves it to the rule."""

    search: Literal["edits", "random", "sweep", "none"]
    generations: int | None
    edits_per_generation: int
    slice_samples: int | None
    baseline_samples: int | None
    final_samples: int | None
    from_scratch: bool
    halving: bool = False
    least_images: int = 0  # below so many training images nothing is searched unless generations are asked for
    max_epochs: float | None
    minutes: float | None
    trials: int | None
    samples: int | None
    spent_samples: int = 0  # of these, before the plan: on finding a selection or an augmentation
    spent_trials: int = 0
    tries: int | None = None
    races: int = 0  # optimisers
    range_test_samples: int = 0  # for finding their rates
    thaw: Thaw = Thaw()
    space_share: float = 0.0  # of what the search trains; 0: no space
    front_size: int = 0  # members of a front that are trained to the end; 0: one winner
    wh: float | None = None

    @property
    def needs_calibration(self) -> bool:
        """Whether it has to be known how fast this machine trains."""
        return self.minutes is not None or self.wh is not None

    @property
    def leaves_finals_open(self) -> bool:
        """Whether the final trainings may be as long as there is time for: nothing says how long they are to be."""
        return self.samples is None and self.final_samples is None and self.max_epochs is None

    def spent(self, samples: int, trials: int) -> Self:
        """After so many more were trained before the plan."""
        return self.updated(spent_samples=self.spent_samples + samples, spent_trials=self.spent_trials + trials)

    @property
    def samples_left(self) -> int | None:
        """Of a budget of samples."""
        return None if self.samples is None else self.samples - self.spent_samples

    @property
    def trials_left(self) -> int | None:
        """Of a budget of trials."""
        return None if self.trials is None else self.trials - self.spent_trials
