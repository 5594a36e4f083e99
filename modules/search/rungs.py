"""How far a try is trained before it is compared with others, and that all are cooled down alike when they are.

Two ways that cost about the same. On a *trunk* a try goes on at a constant rate, and at each rung a branch is cooled
down, judged and thrown away: what the design of this program asks of rates and optimisers. Where the schedule itself is
to be found, each rung is a whole training of its own, under its own schedule.
"""

from typing import NamedTuple

from modules.records import Part
from modules.search.sampler import HALVING
from modules.training.spec import Slice

CONSTANT = "modules.training.schedules.constant.Constant"
LINEAR = "modules.training.schedules.linear.Linear"
_COOLING = 0.25  # of what a try has been trained, when it is judged
_WARMUP = 0.1  # of a first slice from new weights


class Rung(NamedTuple):
    """After `samples` in all, the last `cooled` of them at a rate that falls to zero; `trunk` since the last rung."""

    samples: int
    trunk: int
    cooled: int


def rungs_of(samples: int, count: int) -> tuple[Rung, ...]:
    """`count` rungs, of which each is three times as far as the one before and the last is after `samples`."""
    totals = [max(2, samples // HALVING**place) for place in reversed(range(count))]
    cooled = [max(1, round(_COOLING * total)) for total in totals]
    trunks = [total - cold for total, cold in zip(totals, cooled, strict=True)]
    before = [0, *trunks[:-1]]
    return tuple(
        Rung(total, max(1, trunk - reached), cold)
        for total, trunk, reached, cold in zip(totals, trunks, before, cooled, strict=True)
    )


def cost(rungs: tuple[Rung, ...]) -> int:
    """The samples of a try that comes to the last rung: its trunk and a branch at each."""
    return sum(rung.trunk + rung.cooled for rung in rungs)


def warm() -> Part:
    """The schedule of a trunk's first slice from new weights."""
    return Part(target=CONSTANT, arguments={"warmup_fraction": _WARMUP})


def constant() -> Part:
    """The schedule of a trunk."""
    return Part(target=CONSTANT, arguments={"warmup_fraction": 0.0})


def cooling() -> Part:
    """The schedule of a branch that is judged."""
    return Part(target=LINEAR, arguments={"final_factor": 0.0})


def piece(samples: int, position: int, max_retreats: int) -> Slice:
    """A slice with one look, at its end."""
    return Slice(samples=samples, evaluate_every=samples, first_sample=position, max_retreats=max_retreats)
