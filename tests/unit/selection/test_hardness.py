import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.selection.hardness import el2n, forgetting, keep_by_score, lowest_of_each_class


def test_el2n_is_the_mean_length_of_the_error_by_hand():
    labels = np.array([0, 1])
    probabilities = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.5, 0.5], [0.0, 1.0]]], dtype=np.float32)
    np.testing.assert_allclose(el2n(labels, probabilities), [np.sqrt(0.5) / 2, np.sqrt(2) / 2])


def test_el2n_leaves_the_probabilities_alone():
    probabilities = np.full((1, 2, 2), 0.5, dtype=np.float64)
    el2n(np.array([0, 1]), probabilities)
    assert (probabilities == 0.5).all()


def test_forgetting_counts_the_steps_from_right_to_wrong():
    right = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 0, 0], [0, 1, 0, 0]], dtype=bool)
    # twice forgotten, never forgotten, once, never right
    assert forgetting(right).tolist() == [2, 0, 1, 4]


@pytest.mark.parametrize(("end", "kept"), [("hard", [1, 2, 4]), ("easy", [0, 3, 5])])
def test_the_chosen_end_of_each_class_is_kept(end, kept):
    scores, labels = np.array([0.1, 0.9, 0.5, 0.2, 0.7, 0.3]), np.array([0, 0, 0, 0, 1, 1])
    assert keep_by_score(scores, labels, np.zeros(6), 0.5, end).tolist() == kept


@given(st.integers(1, 60), st.floats(0.001, 1.0), st.sampled_from(["hard", "easy"]), st.integers(0, 99))
def test_shares_of_classes_stay_and_no_class_is_lost(num, fraction, end, seed):
    random = np.random.default_rng(seed)
    labels, scores = random.integers(0, 4, num), random.normal(size=num)
    kept = keep_by_score(scores, labels, random.random(num), fraction, end)
    assert (np.diff(kept) > 0).all()
    for label in np.unique(labels):
        members = labels == label
        inside = np.isin(np.arange(num), kept) & members
        assert inside.sum() == max(1, np.rint(fraction * members.sum()))
        outside = members & ~inside
        if outside.any():
            edge = (
                (scores[inside].min(), scores[outside].max())
                if end == "hard"
                else (
                    scores[outside].min(),
                    scores[inside].max(),
                )
            )
            assert edge[0] >= edge[1]


def test_ties_decide_between_equal_values():
    kept = lowest_of_each_class(np.zeros(4), np.zeros(4, dtype=int), np.array([0.4, 0.1, 0.3, 0.2]), np.array([2]))
    assert kept.tolist() == [1, 3]
