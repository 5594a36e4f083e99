"""Tests: whether chance alone would have made such a difference."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special  # scipy.stats takes a second to import


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979), in the given order."""
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def mcnemar_worse(child_wrong: NDArray[np.bool_], control_wrong: NDArray[np.bool_]) -> float:
    """The exact one-sided p-value of McNemar's test that the child errs more often than the control."""
    only_child = int((child_wrong & ~control_wrong).sum())
    only_control = int((~child_wrong & control_wrong).sum())
    if only_child + only_control == 0:
        return 1.0
    return float(special.bdtrc(only_child - 1, only_child + only_control, 0.5))
