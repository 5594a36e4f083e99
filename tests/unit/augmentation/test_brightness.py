import pytest
from PIL import ImageEnhance

from modules.augmentation.brightness import Brightness


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_pillows(channels, shades, as_pillow):
    images, draws, pictures = shades(channels)
    factors = 1 + draws.either_way("brightness", 0.6)
    assert {0.4, 1.6} == set(factors.round(6))
    expected = [ImageEnhance.Brightness(one).enhance(by) for one, by in zip(pictures, factors, strict=True)]
    as_pillow(Brightness(0.6)(images, draws), expected)
