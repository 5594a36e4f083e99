import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.training.averages.ema import Ema
from modules.training.averages.none import NoAverage
from modules.training.averages.swa import Swa
from modules.training.progress import Progress

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=30)


def averaged(averaging, values, sizes, first_sample=0, total=None):
    """The average after each update, where the weights are single numbers; it starts as the first of them."""
    total = total or sum(sizes)
    average, samples, course = values[0], 0, []
    for updates, (value, size) in enumerate(zip(values[1:], sizes, strict=True), 1):
        samples += size
        weight = averaging.weight(size, first_sample + samples, Progress(samples, total, updates))
        assert 0.0 <= weight <= 1.0
        average += weight * (value - average)
        course.append(average)
    return course


def some_weights(sizes):
    return np.random.default_rng(len(sizes)).normal(size=len(sizes) + 1)


@pytest.mark.parametrize("half_life", [1.0, 8.0, 20.0, 1000.0])
@pytest.mark.parametrize("first_sample", [0, 100, 10_000])
@given(sizes=SIZES)
def test_ema_is_the_slow_version(half_life, first_sample, sizes):
    """Each update's weights count by half as much as those that came a half-life of samples later."""
    values = some_weights(sizes)
    average, seen = values[0], first_sample
    for value, size in zip(values[1:], sizes, strict=True):
        seen += size
        keep = 0.5 ** (size / max(size, min(half_life, seen / 8)))
        average = keep * average + (1 - keep) * value
    assert averaged(Ema(half_life), values, sizes, first_sample)[-1] == pytest.approx(average)


@given(st.integers(10, 50), SIZES)
def test_a_half_life_halves(half_life, sizes):
    """Long after the start, whatever the batches, as many samples as the half-life leave one half of what was."""
    values = np.array([1.0] + [0.0] * len(sizes))
    left = averaged(Ema(half_life), values, sizes, first_sample=10**9)[-1]
    assert left == pytest.approx(0.5 ** (sum(sizes) / half_life))


@given(SIZES, st.floats(0.0, 1.0))
def test_swa_is_the_mean_by_samples_since_its_start(sizes, start_fraction):
    values = some_weights(sizes)
    ends = np.cumsum(sizes)
    course = averaged(Swa(start_fraction), values, sizes)
    start = start_fraction * ends[-1]
    for update, average in enumerate(course):
        # of the batch in which it starts, only what lies after the start
        counts = np.clip(ends[: update + 1] - start, 0.0, sizes[: update + 1])
        if counts.sum() < 1e-9:
            assert average == pytest.approx(values[update + 1])
        else:
            assert average == pytest.approx(np.average(values[1 : update + 2], weights=counts))


def test_swa_by_hand():
    course = averaged(Swa(0.5), [9.0, 1.0, 2.0, 4.0, 8.0], [2, 2, 1, 3])
    assert course == [1.0, 2.0, 4.0, (1 * 4.0 + 3 * 8.0) / 4]


@given(SIZES)
def test_without_an_average_the_weights_themselves_are_judged(sizes):
    values = some_weights(sizes)
    assert averaged(NoAverage(), values, sizes) == pytest.approx(list(values[1:]))


def test_only_an_average_of_equals_needs_other_statistics():
    assert [one.refreshes_statistics for one in (NoAverage, Ema, Swa)] == [False, False, True]
