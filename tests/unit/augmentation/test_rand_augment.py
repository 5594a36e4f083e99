import numpy as np
import torch

from modules.augmentation.operations import STANDARD, operations
from modules.augmentation.rand_augment import RandAugment
from modules.augmentation.rotate import Rotate


def test_operations_follow_one_another(batch):
    images, draws = batch(num=40, channels=3, height=12, width=12)
    once = RandAugment(1)(images, draws)
    twice = RandAugment(2)(images, draws)
    rest = draws.scoped("operation1").at_full_strength()
    numbers = np.floor(rest.uniform("transform") * 14).astype(int)
    for place, number in enumerate(numbers):
        here = np.array([place])
        operation = operations(STANDARD, 0.3, "zeros")[number]
        expected = once[here] if operation is None else operation(once[here], rest.of(here).scoped(str(number)))
        torch.testing.assert_close(twice[here], expected)


def test_all_are_of_one_strength(batch):
    _, draws = batch(num=500)
    (rotate,) = [one for one in operations(STANDARD, 0.5, "zeros") if isinstance(one, Rotate)]
    matrices = rotate.matrices(draws.at_full_strength(), 9, 7)
    angles = np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])).round(4)
    assert set(angles) == {-15.0, 15.0}
    assert 200 < (angles > 0).sum() < 300


def test_another_magnitude_draws_the_same_operations(batch):
    images, draws = batch(num=100, channels=3)
    weak, strong = RandAugment(1, 3.0)(images, draws), RandAugment(1, 27.0)(images, draws)
    changed = [(one != images).any(dim=3).any(dim=2).any(dim=1) for one in (weak, strong)]
    assert (changed[1] | ~changed[0]).float().mean() > 0.95
    distances = [(one - images).abs().mean() for one in (weak, strong)]
    assert distances[1] > 2 * distances[0] > 0
