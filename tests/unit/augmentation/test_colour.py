import numpy as np
import torch
from PIL import ImageEnhance

from modules.augmentation.blending import grey
from modules.augmentation.colour import Colour


def test_the_saturation_is_pillows(shades, as_pillow):
    images, draws, pictures = shades()
    factors = 1 + draws.either_way("saturation", 0.6)
    assert {0.4, 1.6} == set(factors.round(6))
    expected = [ImageEnhance.Color(one).enhance(by) for one, by in zip(pictures, factors, strict=True)]
    as_pillow(Colour(0.6, 0.0)(images, draws), expected, within=1.6)  # Pillow's grey is a whole shade as well


def test_images_without_colour_stay(batch):
    images, draws = batch(channels=1)
    assert Colour(0.9, 90.0)(images, draws) is images
    pale = images.expand(-1, 3, -1, -1)
    torch.testing.assert_close(Colour(0.9, 90.0)(pale, draws), pale, atol=1e-5, rtol=0)


def test_another_hue_is_as_bright_and_turns_back(batch):
    images, draws = batch(channels=3, num=50)
    images = 0.4 + 0.2 * images  # nothing is cut off
    draws = draws.at_full_strength()
    turned = Colour(0.0, 40.0)(images, draws)
    torch.testing.assert_close(grey(turned), grey(images), atol=1e-4, rtol=0)
    assert (turned - images).abs().amax(dim=(1, 2, 3)).min() > 0.01
    whole = Colour(0.0, 360.0)(images, draws)
    torch.testing.assert_close(whole, images, atol=1e-5, rtol=0)


def test_hues_go_either_way(batch):
    images, draws = batch(channels=3, num=400)
    images = 0.4 + 0.2 * images
    turned = Colour(0.0, 30.0)(images, draws) - images
    angles = draws.either_way("hue", 30.0)
    sizes = turned.norm(dim=1).mean(dim=(1, 2)).numpy()
    assert np.corrcoef(np.abs(angles), sizes)[0, 1] > 0.95
