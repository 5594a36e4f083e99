import numpy as np

from modules.augmentation.crop import Crop


def test_windows_lie_within_the_image_and_are_large_enough(batch):
    _, draws = batch(num=3000)
    height, width = 9, 7
    matrices = Crop(0.6).matrices(draws, height, width)
    fraction, offset_x, offset_y = matrices[:, 0, 0], matrices[:, 0, 2], matrices[:, 1, 2]
    assert 0.6 <= fraction.min() < 0.61
    assert 0.99 < fraction.max() <= 1
    for offset, side in ((offset_x, width), (offset_y, height)):
        edge = np.abs(offset) + fraction * side / 2
        assert (edge <= side / 2 + 1e-9).all()
        assert edge.max() > 0.49 * side


def test_the_whole_window_changes_nothing(batch):
    images, draws = batch()
    np.testing.assert_allclose(Crop(1.0)(images, draws), images, atol=1e-5)
