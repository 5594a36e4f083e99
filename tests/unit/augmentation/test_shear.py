import numpy as np
import torch

from modules.augmentation.affine import warp
from modules.augmentation.shear import Shear


def test_rows_and_columns_slide_either_way_up_to_the_most(batch):
    _, draws = batch(num=2000)
    matrices = Shear(0.3).matrices(draws, 9, 7)
    for entry in (matrices[:, 0, 1], matrices[:, 1, 0]):
        assert -0.3 <= entry.min() < -0.29
        assert 0.29 < entry.max() <= 0.3
    assert abs(np.corrcoef(matrices[:, 0, 1], matrices[:, 1, 0])[0, 1]) < 0.1
    np.testing.assert_array_equal(matrices[:, [0, 1, 2], [0, 1, 2]], 1)


def test_a_shear_of_one_moves_each_row_by_a_pixel_more(batch):
    images, _ = batch(num=1, height=5, width=5)
    matrix = np.array([[[1.0, 1, 0], [0, 1, 0], [0, 0, 1]]])
    sheared = warp(images, matrix, "zeros")[0, 0]
    for row in range(5):
        torch.testing.assert_close(sheared[row], _moved(images[0, 0, row], row - 2), atol=1e-5, rtol=0)


def _moved(row, by):
    """What is `by` places further to the right."""
    return torch.tensor([float(row[place + by]) if 0 <= place + by < 5 else 0.0 for place in range(5)])


def test_no_shear_changes_nothing(batch):
    images, draws = batch()
    torch.testing.assert_close(Shear(0.0)(images, draws), images, atol=1e-5, rtol=0)
