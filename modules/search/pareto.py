"""Fronts of figures of which less of each is better: what is on one, and a few that cover it."""

import math
from collections.abc import Sequence


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether it is nowhere more and somewhere less (Pareto)."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def covering(losses: Sequence[float], costs: Sequence[float], count: int) -> list[int]:
    """Places of `count` points of a front, given cheapest first: the lowest loss, and others that cover the costs.

    The lowest loss takes the place of the point nearest to it: of the cheapest or the dearest only where nothing lies
    between them.
    """
    best = min(range(len(losses)), key=losses.__getitem__)
    chosen = _spread(costs, count)
    if best not in chosen:
        chosen.remove(min(chosen[1:-1] or chosen, key=lambda place: abs(math.log(costs[place] / costs[best]))))
    return sorted({best, *chosen})


def _spread(costs: Sequence[float], count: int) -> list[int]:
    """Places of `count` of some ascending costs: the lowest, the highest, and evenly by the logarithm; all of fewer."""
    if len(costs) <= count:
        return list(range(len(costs)))
    logs = [math.log(cost) for cost in costs]
    chosen: list[int] = []
    for step in range(count):
        goal = logs[0] + (logs[-1] - logs[0]) * step / max(1, count - 1)
        left = [place for place in range(len(costs)) if place not in chosen]
        chosen.append(min(left, key=lambda place: abs(logs[place] - goal)))
    return sorted(chosen)
