"""Plateaus of the loss on *steer*: where the rate falls or the batch grows because training no longer gets better."""

import math
from collections.abc import Iterable

REVISION = 1


def num_plateaus(losses: Iterable[float], patience: int, threshold: float, cooldown: int) -> int:
    """How many plateaus the looks so far hold, counted as torch's ReduceLROnPlateau does.

    A plateau is more than `patience` looks in a row whose loss was not lower than the best one by `threshold` of it;
    the `cooldown` looks after one count towards none.
    """
    found, best, waited, resting = 0, math.inf, 0, 0
    for loss in losses:
        waited += 1
        if loss < best * (1.0 - threshold):
            best, waited = loss, 0
        if resting:
            resting, waited = resting - 1, 0
        if waited > patience:
            found, waited, resting = found + 1, 0, cooldown
    return found
