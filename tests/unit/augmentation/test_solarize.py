import numpy as np
import torch
from PIL import ImageOps

from modules.augmentation.solarize import Solarize


def test_it_is_pillows(shades, as_pillow):
    images, draws, pictures = shades()
    # Pillow inverts from the threshold on, this above it
    as_pillow(Solarize(0.5)(images, draws), [ImageOps.solarize(one, 128) for one in pictures], within=1e-3)


def test_thresholds_lie_between_the_least_and_white(batch):
    images, draws = batch(num=300, height=20, width=20)
    changed = Solarize(0.6)(images, draws) != images
    lowest = torch.where(changed, images, 1.0).amin(dim=(1, 2, 3)).numpy()
    assert 0.6 <= lowest.min() < 0.61
    assert np.histogram(lowest, bins=4, range=(0.6, 1.0))[0].min() > 40


def test_a_threshold_of_white_changes_nothing(batch):
    images, draws = batch()
    assert torch.equal(Solarize(1.0)(images, draws), images)
