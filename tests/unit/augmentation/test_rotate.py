import numpy as np
import torch

from modules.augmentation.affine import warp
from modules.augmentation.rotate import Rotate


def test_angles_go_up_to_the_largest_either_way(batch):
    _, draws = batch(num=2000)
    matrices = Rotate(30).matrices(draws, 9, 7)
    angles = np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert -30 <= angles.min() < -29
    assert 29 < angles.max() <= 30
    np.testing.assert_allclose(np.linalg.det(matrices), 1)


def test_a_right_angle_agrees_with_torch(batch):
    images, _ = batch(height=7, width=7)
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turned = warp(images, np.tile(quarter, (len(images), 1, 1)), "zeros")
    torch.testing.assert_close(turned, torch.rot90(images, k=1, dims=(2, 3)), atol=1e-5, rtol=0)


def test_no_angle_changes_nothing(batch):
    images, draws = batch()
    torch.testing.assert_close(Rotate(0)(images, draws), images, atol=1e-5, rtol=0)
