"""What a model may cost, and what that leaves to be proposed."""

from collections.abc import Iterator
from typing import NamedTuple

from modules.records import Record

_NEAR = 0.9  # of a limit, from which growing edits get less weight
_WEIGHT_NEAR = 0.3


class Cost(NamedTuple):
    """Of a network: trainable parameters, and operations for one image."""

    params: int
    flops: int

    def grew_from(self, before: "Cost") -> bool:
        """Whether there is more of anything."""
        return self.params > before.params or self.flops > before.flops


class Limits(Record):
    """The most that a model may cost; None: no limit."""

    max_params: int | None = None
    max_flops: int | None = None

    def allows(self, before: Cost, after: Cost) -> bool:
        """Whether an edit leads below every limit, or nearer to those that are exceeded already."""
        return all(new <= limit or new < old for _, limit, old, new in self._each(before, after))

    def weight(self, before: Cost, after: Cost) -> float:
        """The factor on the odds of an edit that is allowed."""
        return _WEIGHT_NEAR if after.grew_from(before) and self.near(before) is not None else 1.0

    def exceeded(self, cost: Cost) -> str | None:
        """A sentence where a network costs more than it may."""
        for name, limit, value, _ in self._each(cost, cost):
            if value > limit:
                return (
                    f"the network has {value:,}, above objective.{name}={limit:,}, so that only shrinking is proposed"
                )
        return None

    def near(self, cost: Cost) -> str | None:
        """A sentence where a network costs nearly what it may."""
        for name, limit, value, _ in self._each(cost, cost):
            if _NEAR * limit < value <= limit:
                return (
                    f"the network is at {value / limit:.0%} of objective.{name}={limit:,}, so growing has less weight"
                )
        return None

    def note(self, cost: Cost) -> str | None:
        """What a proposal should say about the limits."""
        return self.exceeded(cost) or self.near(cost)

    def _each(self, before: Cost, after: Cost) -> Iterator[tuple[str, int, int, int]]:
        for name, limit, old, new in (
            ("max_params", self.max_params, before.params, after.params),
            ("max_flops", self.max_flops, before.flops, after.flops),
        ):
            if limit is not None:
                yield name, limit, old, new
