"""What a model may cost, and what that leaves to be proposed."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from modules.architecture.description import Architecture
from modules.records import Record

_NEAR = 0.9  # of a limit, from which growing edits get less weight
_WEIGHT_NEAR = 0.3
_LEAST_WEIGHT = 0.001  # of edits that hardly lead nearer to a limit that is exceeded


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
                return f"the network would have {_said(value)}, above objective.{name}={_said(limit)}"
        return None

    def allows(self, before: Cost, after: Cost) -> bool:
        """Whether an edit leads below every limit, or nearer to those that are exceeded already."""
        return all(new <= limit or new < old for _, limit, old, new in self._each(before, after))

    def excess(self, cost: Cost) -> float:
        """How far a network is beyond the limit that it exceeds most, as a logarithm; below zero: within all."""
        beyond = [math.log(value / limit) for _, limit, value, _ in self._each(cost, cost)]
        return max(beyond, default=-math.inf)

    def halvings(self, cost: Cost) -> int:
        """How often a network has to be halved to come within the limits."""
        excess = self.excess(cost)
        return math.ceil(excess / math.log(2)) if excess > 0 else 0

    def progress(self, before: Cost, after: Cost) -> float:
        """Which share of the way to the limits an edit of a network leads that exceeds one; 1: all of it."""
        return min(1.0, 1.0 - self.excess(after) / self.excess(before))

    def weight(self, before: Cost, after: Cost) -> float:
        """The factor on the odds of an edit that is allowed.

        Beyond a limit that is how near to it the edit leads, squared, as there are many that hardly do, and few
        generations; less what it goes too far, and less what it takes of that which no limit asks for.
        """
        if self.excess(before) > 0:
            kept = math.exp(min(0.0, self.excess(after))) * self._left_of_the_rest(before, after) ** 2
            return max(_LEAST_WEIGHT, self.progress(before, after) ** 2 * kept)
        return _WEIGHT_NEAR if after.grew_from(before) and self.near(before) is not None else 1.0

    def shares(self, cost: Cost) -> dict[str, float]:
        """Of the parameters or operations of a network that exceeds a limit, which share is within it."""
        within: dict[str, list[float]] = {"params": [], "flops": []}
        for name, limit, value, _ in self._each(cost, cost):
            within["params" if name == "max_params" else "flops"].append(limit / value)
        return {name: min(shares) for name, shares in within.items() if min(shares, default=1.0) < 1}

    def _left_of_the_rest(self, before: Cost, after: Cost) -> float:
        """What is left of parameters or operations where those are not limited."""
        left = 1.0
        if self.max_params is None:
            left *= min(1.0, after.params / before.params)
        if self.max_flops is None and self.max_latency_ms is None:
            left *= min(1.0, after.flops / before.flops)
        return left

    def exceeded(self, cost: Cost) -> str | None:
        """A sentence where a network costs more than it may."""
        for name, limit, value, _ in self._each(cost, cost):
            if value > limit:
                return (
                    f"the network has {_said(value)}, above objective.{name}={_said(limit)}, so that only shrinking is "
                    "proposed"
                )
        return None

    def demanded(self, before: Cost, after: Sequence[Cost | None], generations_left: int) -> list[int]:
        """Which of some networks, by place, a limit that their parent exceeds asks for; none where it exceeds none.

        Those that are far enough on the way for the generations left, or else the one that is furthest.
        """
        if self.excess(before) <= 0:
            return []
        progress = {place: self.progress(before, cost) for place, cost in enumerate(after) if cost is not None}
        far_enough = [place for place, share in progress.items() if share >= 1 / generations_left]
        nearer = [place for place, share in progress.items() if share > 0]
        return far_enough or sorted(nearer, key=lambda place: -progress[place])[:1]

    def near(self, cost: Cost) -> str | None:
        """A sentence where a network costs nearly what it may."""
        for name, limit, value, _ in self._each(cost, cost):
            if _NEAR * limit < value <= limit:
                return (
                    f"the network is at {value / limit:.0%} of objective.{name}={_said(limit)}, so growing has less "
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


def _said(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
