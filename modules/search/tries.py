"""What became of points of a space: the account of a search for hyper-parameters."""

from typing import Literal

from pydantic import Field

from modules.records import Record
from modules.search.pareto import covering, dominates
from modules.space import Space, Values

State = Literal["complete", "stopped", "failed"]


class Try(Record):
    """A point of a space and what was trained there. Losses are mean cross-entropies on *steer* after cooling down."""

    number: int
    values: Values
    state: State
    losses: tuple[float, ...] = ()  # after each rung that it came to
    error: float | None = None  # of the last
    params: int = 0
    flops: int = 0
    samples: int = 0
    seconds: float = 0.0
    trials: tuple[str, ...] = ()  # keys; the last is the one that was judged
    origin: str = "proposed"  # or where it came from: "the configuration", "an earlier study", "this study, before"
    reason: str = ""  # of a failure

    @property
    def loss(self) -> float | None:
        """After the last rung that it came to."""
        return self.losses[-1] if self.losses else None


class Tuning(Record):
    """A search in a space: of whole trainings, or before or after the generations of a study."""

    when: Literal["sweep", "before", "after"]
    space: Space
    figures: tuple[str, ...] = ("loss",)  # that are to be small
    rungs: tuple[int, ...] = ()  # samples after which tries are compared
    tries: tuple[Try, ...] = ()
    ended_by: str = ""  # why no more were tried; empty: all that the plan has were
    importances: dict[str, float] = Field(
        default_factory=dict
    )  # by key; what part of the differences in loss it accounts for
    conditional_importances: dict[str, float] = Field(
        default_factory=dict
    )  # by key and condition; the same among the tries that meet it

    @property
    def best(self) -> Try | None:
        """The complete try with the lowest loss."""
        return min((one for one in self.tries if one.state == "complete"), key=_loss, default=None)

    @property
    def front(self) -> tuple[Try, ...]:
        """The complete tries that no other does better than in all figures, cheapest first."""
        done = [one for one in self.tries if one.state == "complete"]
        figures = {one.number: tuple(float(getattr(one, name)) for name in self.figures) for one in done}
        kept = [one for one in done if not any(dominates(other, figures[one.number]) for other in figures.values())]
        return tuple(sorted(kept, key=lambda one: (one.flops, one.params, one.number)))

    def spaced(self, count: int) -> tuple[Try, ...]:
        """`count` of the front that cover it by their operations, cheapest first; the lowest loss is among them."""
        front = self.front
        places = covering([_loss(one) for one in front], [one.flops for one in front], count)
        return tuple(front[place] for place in places)


def _loss(one: Try) -> float:
    assert one.loss is not None
    return one.loss
