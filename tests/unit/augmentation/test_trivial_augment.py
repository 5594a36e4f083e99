import numpy as np
import torch

from modules.augmentation.operations import WIDE, operations
from modules.augmentation.trivial_augment import TrivialAugment


def test_each_image_goes_through_one_operation(batch):
    images, draws = batch(num=60, channels=3, height=12, width=12)
    changed = TrivialAugment()(images, draws)
    names = np.floor(draws.uniform("transform") * 14).astype(int)
    for place, number in enumerate(names):
        operation = operations(WIDE, 1.0, "zeros")[number]
        here = np.array([place])
        alone = images[here]
        if operation is not None:
            alone = operation(alone, draws.of(here).scoped(str(number)))
        torch.testing.assert_close(changed[here], alone)


def test_all_operations_are_drawn_alike(batch):
    _, draws = batch(num=14_000)
    counts = np.bincount(np.floor(draws.uniform("transform") * 14).astype(int), minlength=14)
    assert counts.min() > 850
    assert counts.max() < 1150


def test_no_strength_leaves_what_has_no_strength(batch):
    images, draws = batch(num=200, channels=3)
    changed = (TrivialAugment(0.0)(images, draws) - images).abs().amax(dim=(1, 2, 3)) > 0.003
    drawn = np.floor(draws.uniform("transform") * 14).astype(int)
    assert set(drawn[changed.numpy()]) <= {1, 2}  # stretching and equalising
