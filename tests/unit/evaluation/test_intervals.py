import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from modules.evaluation.intervals import paired_interval, unpaired_interval, wilson_interval


def test_wilson_is_that_of_scipy():
    expected = stats.binomtest(7, 120).proportion_ci(0.95, method="wilson")
    assert wilson_interval(7 / 120, 120, stats.norm.ppf(0.975)) == pytest.approx(tuple(expected))


@given(st.integers(1, 500).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_wilsons_interval_holds_what_was_seen(counts):
    wrong, count = counts
    low, high = wilson_interval(wrong / count, count)
    assert 0 <= low <= wrong / count + 1e-12
    assert wrong / count - 1e-12 <= high <= 1


def test_the_unpaired_interval_is_made_of_two_of_wilson():
    low, high = unpaired_interval(0.6, 0.8, 70)
    first, second = wilson_interval(0.6, 70), wilson_interval(0.8, 70)
    assert low == pytest.approx(0.2 - ((0.8 - second[0]) ** 2 + (first[1] - 0.6) ** 2) ** 0.5)
    assert high == pytest.approx(0.2 + ((second[1] - 0.8) ** 2 + (0.6 - first[0]) ** 2) ** 0.5)


def test_the_paired_interval_by_hand():
    """Half an image in each cell: 12.5 and 4.5 of 102."""
    difference = 8 / 102
    spread = (17 / 102 - difference**2) / 102
    assert paired_interval(4, 12, 100) == pytest.approx(
        (difference - 1.96 * spread**0.5, difference + 1.96 * spread**0.5)
    )


def test_no_difference_is_no_certainty():
    low, high = paired_interval(0, 0, 100)
    assert low == -high < 0


@pytest.mark.parametrize("count", [10, 1000])
def test_the_other_way_round_it_is_mirrored(count):
    assert paired_interval(2, 5, count) == pytest.approx(tuple(-end for end in reversed(paired_interval(5, 2, count))))
    there, back = unpaired_interval(0.1, 0.3, count), unpaired_interval(0.3, 0.1, count)
    assert there == pytest.approx(tuple(-end for end in reversed(back)))
