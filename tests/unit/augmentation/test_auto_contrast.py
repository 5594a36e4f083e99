import pytest
import torch
from PIL import ImageOps

from modules.augmentation.auto_contrast import AutoContrast


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_pillows(channels, shades, as_pillow):
    images, draws, _ = shades(channels)
    images = ((0.3 + 0.4 * images) * 255).round() / 255
    from PIL import Image

    pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    pictures = [Image.fromarray(one[..., 0] if channels == 1 else one) for one in pixels]
    as_pillow(AutoContrast(1.0)(images, draws), [ImageOps.autocontrast(one) for one in pictures])


def test_one_colour_stays_and_so_does_what_is_not_drawn(batch):
    images, draws = batch(num=300)
    plain = torch.full_like(images, 0.25)
    assert torch.equal(AutoContrast(1.0)(plain, draws), plain)
    dark = 0.5 * images
    stretched = (AutoContrast(0.4)(dark, draws) != dark).any(dim=(1, 2, 3)).float().mean()
    assert 0.3 < stretched < 0.5
