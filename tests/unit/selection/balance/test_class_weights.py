import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.selection.balance.class_weights import ClassWeights

COUNTS = st.lists(st.integers(1, 10_000), min_size=2, max_size=20).map(np.array)


def test_by_hand():
    np.testing.assert_allclose(ClassWeights().weights(np.array([30, 10])), [2 / 3, 2.0])


@given(COUNTS, st.floats(0.0, 1.0))
def test_images_weigh_one_on_average(counts, power):
    weights = ClassWeights(power).weights(counts)
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1.0)


@given(COUNTS)
def test_classes_count_alike_at_one_and_images_at_zero(counts):
    shares = ClassWeights(1.0).weights(counts) * counts
    np.testing.assert_allclose(shares, shares[0])
    np.testing.assert_allclose(ClassWeights(0.0).weights(counts), 1.0)
    assert (ClassWeights().repeats(counts) == 1).all()


def test_a_class_without_images_has_a_finite_weight():
    assert np.isfinite(ClassWeights().weights(np.array([4, 0]))).all()
