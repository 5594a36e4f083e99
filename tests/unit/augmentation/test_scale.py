import numpy as np

from modules.augmentation.scale import Scale


def test_factors_are_as_often_above_one_as_below(batch):
    _, draws = batch(num=4000)
    factors = 1 / Scale(0.25).matrices(draws, 9, 7)[:, 0, 0]
    assert 0.8 <= factors.min() < 0.81
    assert 1.24 < factors.max() <= 1.25
    assert abs(np.mean(factors > 1) - 0.5) < 0.04


def test_enlarging_makes_a_square_larger(batch):
    images, draws = batch(num=40, height=20, width=20)
    images[:] = 0
    images[:, :, 6:14, 6:14] = 1
    factors = 1 / Scale(0.25).matrices(draws, 20, 20)[:, 0, 0]
    areas = Scale(0.25)(images, draws).sum(dim=(1, 2, 3)).numpy()
    np.testing.assert_allclose(areas, 64 * factors**2, rtol=0.06)
