import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modules.selection.balance.oversampling import Oversampling

COUNTS = st.lists(st.integers(1, 10_000), min_size=2, max_size=20).map(np.array)


def test_by_hand():
    assert Oversampling().repeats(np.array([90, 30, 8])).tolist() == [1, 3, 11]
    assert Oversampling(0.5).repeats(np.array([90, 10])).tolist() == [1, 3]
    assert Oversampling(0.0).repeats(np.array([90, 10])).tolist() == [1, 1]


@given(COUNTS)
def test_classes_come_about_as_often(counts):
    seen = counts * Oversampling().repeats(counts)
    assert (seen >= counts.max() * 2 / 3).all()
    assert (seen <= counts.max() * 1.5).all()
    assert (Oversampling().weights(counts) == 1.0).all()


def test_a_class_without_images_does_not_divide_by_zero():
    assert Oversampling().repeats(np.array([5, 0]))[0] == 1
