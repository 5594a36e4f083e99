import pytest
import torch
from PIL import ImageOps

from modules.augmentation.equalize import Equalize


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_pillows(channels, shades, as_pillow):
    images, draws, _ = shades(channels, num=40)
    images = ((images**3) * 40).round() / 255  # forty shades, most of them dark
    from PIL import Image

    pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    pictures = [Image.fromarray(one[..., 0] if channels == 1 else one) for one in pixels]
    as_pillow(Equalize(1.0)(images, draws), [ImageOps.equalize(one) for one in pictures], within=1e-3)


def test_one_colour_stays_and_so_does_what_is_not_drawn(batch):
    images, draws = batch(num=300, height=20, width=20)
    plain = torch.full_like(images, 51 / 255)
    torch.testing.assert_close(Equalize(1.0)(plain, draws), plain)
    images = (images * 20).round() / 255
    equalized = (Equalize(0.4)(images, draws) != images).any(dim=(1, 2, 3)).float().mean()
    assert 0.3 < equalized < 0.5
