"""The account of what each automation of a study bought, as it is kept and shown."""

from modules.records import Interval, Record


class Contribution(Record):
    """An automation: what the study comes to without it, and what it bought."""

    name: str
    what: str  # was put in its place
    error: float  # without it
    bought_error: Interval  # without minus with, a fraction; those of all automations hold together at 95 %
    bought_seconds: float  # of trials, without range tests; below zero: it cost so many
    bought_wh: float | None
    seconds_interval: Interval | None = None  # over the seeds; None with one seed
    wh_interval: Interval | None = None
    params: float  # of the winner without it, a mean


class Credits(Record):
    """The account of `espalier credit`."""

    study: str
    seeds: tuple[int, ...]
    samples: int  # of the plan, the same for all
    num_images: int  # of *confirm*
    error: float  # with all automations
    seconds: float
    contributions: tuple[Contribution, ...]
    unused: tuple[str, ...] = ()  # automations that the study did without anyway
    obstacles: tuple[tuple[str, str], ...] = ()  # automations that cannot be left out, each with the reason

    @property
    def left_aside(self) -> str:
        """Half a sentence about the automations that are not in the account."""
        unused = "not used by the study: " + ", ".join(self.unused) if self.unused else ""
        obstacles = [f"{name} cannot be left out: {why}" for name, why in self.obstacles]
        return "; ".join(filter(None, [unused, *obstacles]))
