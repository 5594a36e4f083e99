import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.evaluation.significance import holm, mcnemar_worse

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_holm_by_hand():
    # 4 * 0.01, 3 * 0.02, 2 * 0.03 = 0.06 and 1 * 0.04 raised to the one before
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(P_VALUES)
def test_holm_is_its_slow_version(p_values):
    """The adjusted value is the smallest level at which Holm's step-down procedure rejects."""
    order = sorted(range(len(p_values)), key=lambda index: (p_values[index], index))
    slow = [0.0] * len(p_values)
    for rank, index in enumerate(order):
        slow[index] = min(1.0, max((len(order) - at) * p_values[order[at]] for at in range(rank + 1)))
    assert holm(p_values) == pytest.approx(slow)


@given(P_VALUES)
def test_holm_keeps_the_order_and_lies_between_one_test_and_bonferroni(p_values):
    adjusted = holm(p_values)
    for p_value, result in zip(p_values, adjusted, strict=True):
        assert p_value <= result <= min(1.0, len(p_values) * p_value) + 1e-12
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    assert [adjusted[index] for index in order] == sorted(adjusted)


def wrong(*counts: int) -> tuple[np.ndarray, np.ndarray]:
    """Child's and control's errors: both wrong, only the child, only the control, neither."""
    child = np.repeat([True, True, False, False], counts)
    control = np.repeat([True, False, True, False], counts)
    return child, control


def test_mcnemar_by_hand():
    # five discordant images, four of them the child's: (5 + 1) / 2^5
    assert mcnemar_worse(*wrong(7, 4, 1, 90)) == pytest.approx(6 / 32)
    assert mcnemar_worse(*wrong(7, 0, 0, 90)) == 1.0
    assert mcnemar_worse(*wrong(0, 10, 0, 0)) == pytest.approx(2**-10)
    assert mcnemar_worse(*wrong(0, 0, 10, 0)) == 1.0


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5), st.integers(0, 5))
def test_mcnemar_is_the_binomial_tail(only_child, only_control, both, neither):
    found = mcnemar_worse(*wrong(both, only_child, only_control, neither))
    discordant = only_child + only_control
    tail = sum(math.comb(discordant, count) for count in range(only_child, discordant + 1)) / 2**discordant
    assert found == pytest.approx(tail)
