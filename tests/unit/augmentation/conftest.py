import numpy as np
import pytest
import torch
from PIL import Image

from modules.augmentation.draws import Draws


@pytest.fixture
def batch():
    """Makes random images (float, N x C x H x W) and draws for them."""

    def batch(num=12, channels=1, height=9, width=7, seed=0, channels_last=True):
        random = np.random.default_rng(seed)
        images = torch.from_numpy(random.random((num, channels, height, width), dtype=np.float32))
        layout = torch.channels_last if channels_last else torch.contiguous_format
        identities = random.integers(0, 2**63, num).astype(np.uint64)
        return images.contiguous(memory_format=layout), Draws(seed, 3, identities)

    return batch


@pytest.fixture
def shades(batch):
    """Images of whole shades (k / 255), draws at full strength, and the same images as Pillow has them."""

    def shades(channels=3, **kinds):
        images, draws = batch(channels=channels, height=16, width=14, **kinds)
        images = (images * 255).round() / 255
        pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        pictures = [Image.fromarray(one[..., 0] if channels == 1 else one) for one in pixels]
        return images, draws.at_full_strength(), pictures

    return shades


@pytest.fixture
def as_pillow():
    """Compares images with Pillow's, which rounds to whole shades."""

    def compare(images, pictures, within=1.01):
        expected = np.stack([np.asarray(picture, dtype=np.float32) for picture in pictures])
        expected = expected[..., None] if expected.ndim == 3 else expected
        np.testing.assert_allclose(images.permute(0, 2, 3, 1).numpy() * 255, expected, atol=within)

    return compare
