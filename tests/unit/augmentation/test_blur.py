import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from modules.augmentation.blur import Blur


def test_it_is_a_gaussian_filter(batch):
    images, draws = batch(channels=3)
    blurred = Blur(1.5)(images, draws).numpy()
    sigmas = draws.up_to("sigma", 1.5)
    for image, result, sigma in zip(images.numpy(), blurred, sigmas, strict=True):
        expected = [gaussian_filter(channel, sigma, mode="nearest", radius=5) for channel in image]
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_one_colour_stays(batch):
    images, draws = batch()
    ones = torch.full_like(images, 0.7)
    torch.testing.assert_close(Blur(2.0)(ones, draws), ones)


def test_no_blur_changes_nothing(batch):
    images, draws = batch()
    assert Blur(0.0)(images, draws) is images
