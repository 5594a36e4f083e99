import numpy as np
import pytest
import torch
from PIL import ImageEnhance

from modules.augmentation.contrast import Contrast


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_pillows(channels, shades, as_pillow):
    images, draws, pictures = shades(channels)
    factors = 1 + draws.either_way("contrast", 0.6)
    assert {0.4, 1.6} == set(factors.round(6))
    expected = [ImageEnhance.Contrast(one).enhance(by) for one, by in zip(pictures, factors, strict=True)]
    as_pillow(Contrast(0.6)(images, draws), expected, within=1.6)  # Pillow's mean is a whole shade as well


def test_the_mean_stays_where_nothing_is_cut_off(batch):
    images, draws = batch(num=200)
    images = 0.4 + 0.2 * images
    changed = Contrast(0.5)(images, draws)
    torch.testing.assert_close(changed.mean(dim=(1, 2, 3)), images.mean(dim=(1, 2, 3)))
    ratios = (changed.std(dim=(1, 2, 3)) / images.std(dim=(1, 2, 3))).numpy()
    np.testing.assert_allclose(ratios, 1 + draws.either_way("contrast", 0.5), rtol=1e-4)
