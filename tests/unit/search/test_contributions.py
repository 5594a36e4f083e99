import numpy as np
import pytest
from scipy import stats

from modules.search.contributions import Outcome, _noise, contributions
from modules.search.judging import PRIOR_FREEDOM, PRIOR_NOISE


def outcome(*seeds, seconds=10.0, energy=None):
    wrong = np.array(seeds, dtype=bool)
    return Outcome(wrong, (seconds,) * len(seeds), (100,) * len(seeds), (energy,) * len(seeds))


def test_by_hand():
    """Ten images, two seeds: with all 1 and 1 wrong, without 3 and 3; no noise between seeds but the prior's."""
    whole = outcome([1] + [0] * 9, [1] + [0] * 9)
    less = outcome([1, 1, 1] + [0] * 7, [1, 1, 1] + [0] * 7, seconds=7.0)
    credits = contributions("s", [0, 1], 1000, whole, {"schedule": ("constant", less)}, ["prior"])
    (one,) = credits.contributions
    assert (credits.error, one.error, credits.unused) == (0.1, 0.3, ("prior",))
    assert one.bought_error.estimate == pytest.approx(0.2)
    assert one.bought_seconds == -3.0
    assert one.bought_wh is None
    images = np.var([0, 1, 1] + [0] * 7, ddof=1) / 10
    noise = PRIOR_FREEDOM * (PRIOR_NOISE * 0.1) ** 2 / (PRIOR_FREEDOM + 2)
    assert one.bought_error.standard_error == pytest.approx(np.sqrt(images + noise * (1 / 2 + 1 / 2)))
    freedom = (images + noise) ** 2 / (noise**2 / (PRIOR_FREEDOM + 2) + images**2 / 9)
    reach = stats.t.ppf(0.975, freedom) * one.bought_error.standard_error
    assert one.bought_error.high == pytest.approx(0.2 + reach)


def test_most_first_and_energy_where_all_know_theirs():
    whole = outcome([1, 0, 0, 0], energy=2.0)
    without = {"a": ("x", outcome([1, 1, 0, 0], energy=3.5)), "b": ("y", outcome([1, 1, 1, 0], energy=1.0))}
    credits = contributions("s", [0], 1000, whole, without)
    assert [(one.name, one.bought_wh) for one in credits.contributions] == [("b", -1.0), ("a", 1.5)]


def test_noise_between_seeds_widens_the_interval():
    calm, wild = outcome([1, 0, 0, 0], [1, 0, 0, 0]), outcome([1, 1, 1, 1], [0, 0, 0, 0])
    reference = outcome([1, 0, 0, 0], [1, 0, 0, 0])
    sure, unsure = (
        contributions("s", [0, 1], 1, reference, {"a": ("x", each)}).contributions[0].bought_error.standard_error
        for each in (calm, wild)
    )
    assert unsure > 5 * sure


def test_the_intervals_of_errors_hold_together():
    def intervals(count):
        whole, less = outcome([1, 0, 0, 0] * 9, [0, 1, 0, 0] * 9), outcome([1, 1, 0, 0] * 9, [1, 0, 1, 0] * 9)
        credits = contributions("s", [0, 1], 1, whole, {f"a{place}": ("x", less) for place in range(count)})
        return [one.bought_error for one in credits.contributions]

    (alone,), five = intervals(1), intervals(5)
    assert alone.level == 0.95
    assert {one.level for one in five} == {0.99}
    least = stats.norm.ppf(0.995)
    assert alone.high - alone.estimate < least * alone.standard_error
    assert all(one.high - one.estimate > least * one.standard_error for one in five)
    assert contributions("s", [0], 1, outcome([1, 0]), {}).contributions == ()


def test_images_on_which_seeds_disagree_are_noise_even_where_as_many_are_wrong():
    """A hundred images, one wrong with each seed, never the same: half of two images' variance a training."""
    wrong = np.eye(100, dtype=bool)
    found = _noise([outcome(*wrong[:2]), outcome(*wrong[2:4])], error=0.01)
    images = (2 * 0.5) / 100**2
    assert found.variance == pytest.approx(PRIOR_FREEDOM * (images + (PRIOR_NOISE * 0.01) ** 2) / (PRIOR_FREEDOM + 2))
    assert found.freedom == PRIOR_FREEDOM + 2


def test_with_one_seed_what_variants_disagree_on_is_noise():
    wrong = np.eye(100, dtype=bool)
    found = _noise([outcome(wrong[0]), outcome(wrong[1])], error=0.01)
    assert found.variance == pytest.approx((2 * 0.5) / 100**2 + (PRIOR_NOISE * 0.01) ** 2)


def test_seconds_and_energy_have_an_interval_over_the_seeds():
    def took(*seconds):
        return Outcome(np.zeros((len(seconds), 4), dtype=bool), seconds, (1,) * len(seconds), seconds)

    (one,) = contributions("s", [0, 1, 2], 1, took(1.0, 2.0, 3.0), {"a": ("x", took(3.0, 5.0, 4.0))}).contributions
    differences = np.array([2.0, 3.0, 1.0])
    low, high = stats.t.interval(0.95, 2, differences.mean(), differences.std(ddof=1) / np.sqrt(3))
    assert one.seconds_interval == one.wh_interval
    assert (one.seconds_interval.low, one.seconds_interval.high) == (pytest.approx(low), pytest.approx(high))
    (alone,) = contributions("s", [0], 1, took(1.0), {"a": ("x", took(3.0))}).contributions
    assert (alone.bought_seconds, alone.seconds_interval, alone.wh_interval) == (2.0, None, None)
