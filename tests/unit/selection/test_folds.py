import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modules.selection.folds import folds_of

GROUPS = np.random.default_rng(0).integers(0, 2**63, 4000).astype(np.uint64)


@given(st.integers(2, 20), st.integers(0, 1000))
def test_folds_are_of_about_one_size_and_none_is_missing(num_folds, seed):
    counts = np.bincount(folds_of(GROUPS, num_folds, seed), minlength=num_folds)
    assert len(counts) == num_folds
    expected = 4000 / num_folds
    assert (np.abs(counts - expected) < 6 * np.sqrt(expected)).all()


@given(st.permutations(range(100)))
def test_a_fold_follows_from_the_group_alone(order):
    folds = folds_of(GROUPS[:100], 5, 3)
    np.testing.assert_array_equal(folds_of(GROUPS[:100][list(order)], 5, 3), folds[list(order)])


def test_near_duplicates_share_a_fold_and_seeds_differ():
    twins = np.repeat(GROUPS[:50], 2)
    folds = folds_of(twins, 4, 0)
    np.testing.assert_array_equal(folds[::2], folds[1::2])
    assert (folds != folds_of(twins, 4, 1)).any()
