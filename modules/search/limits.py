"""What a model may cost, and what that leaves to be proposed."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from modules.architecture.description import Architecture
from modules.records import Record

_NEAR = 0.9  # of a limit, from which growing edits get less weight
_WEIGHT_NEAR = 0.3


class Cost(NamedTuple):
    """Of a network: trainable parameters, operations for one image, and its latency where that was measured."""

    params: int
    flops: int
    latency_ms: float | None = None

    @classmethod
    def of(cls, architecture: Architecture, latency_ms: float | None = None) -> "Cost":
        """What an architecture costs."""
        return cls(architecture.params, architecture.flops, latency_ms)

    def grew_from(self, before: "Cost") -> bool:
        """Whether there is more of anything."""
        return self.params > before.params or self.flops > before.flops


class Limits(Record):
    """The most that a model may cost; None: no limit."""

    max_params: int | None = None
    max_flops: int | None = None
    max_latency_ms: float | None = None  # of one image, exported, on one thread

    def given(self) -> Iterator[tuple[str, float]]:
        """The limits there are, by name."""
        return ((name, value) for name, value in self if value is not None)

    def cost_of(self, architecture: Architecture, latency_of: Callable[[Architecture], float]) -> Cost:
        """What an architecture costs; its latency (milliseconds) is only measured where it is limited."""
        return Cost.of(architecture, None if self.max_latency_ms is None else latency_of(architecture))

    def objection(self, cost: Cost) -> str | None:
        """Which limit a network breaks, as far as its cost is known; None where it breaks none."""
        known = {"max_params": cost.params, "max_flops": cost.flops, "max_latency_ms": cost.latency_ms}
        for name, limit in self.given():
            value = known[name]
            if value is not None and value > limit:
                return f"the network would have {value:,.6g}, above objective.{name}={limit:,.6g}"
        return None

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
                    f"the network has {value:,.6g}, above objective.{name}={limit:,.6g}, so that only shrinking is "
                    "proposed"
                )
        return None

    def near(self, cost: Cost) -> str | None:
        """A sentence where a network costs nearly what it may."""
        for name, limit, value, _ in self._each(cost, cost):
            if _NEAR * limit < value <= limit:
                return (
                    f"the network is at {value / limit:.0%} of objective.{name}={limit:,.6g}, so growing has less "
                    "weight"
                )
        return None

    def note(self, cost: Cost) -> str | None:
        """What a proposal should say about the limits."""
        return self.exceeded(cost) or self.near(cost)

    def _each(self, before: Cost, after: Cost) -> Iterator[tuple[str, float, float, float]]:
        for name, limit, old, new in (
            ("max_params", self.max_params, before.params, after.params),
            ("max_flops", self.max_flops, before.flops, after.flops),
            ("max_latency_ms", self.max_latency_ms, before.latency_ms, after.latency_ms),
        ):
            if (
                limit is not None and old is not None and new is not None
            ):  # a latency that nobody measured is not judged
                yield name, limit, old, new
