import pytest
import torch
from PIL import ImageEnhance

from modules.augmentation.sharpness import Sharpness


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_pillows(channels, shades, as_pillow):
    images, draws, pictures = shades(channels)
    factors = 1 + draws.either_way("sharpness", 0.6)
    expected = [ImageEnhance.Sharpness(one).enhance(by) for one, by in zip(pictures, factors, strict=True)]
    as_pillow(Sharpness(0.6)(images, draws), expected, within=1.6)  # Pillow's softer image has whole shades as well


def test_an_image_without_an_inside_stays(batch):
    images, draws = batch(height=2, width=9)
    torch.testing.assert_close(Sharpness(0.9)(images, draws), images)
