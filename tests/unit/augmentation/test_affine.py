import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.augmentation.affine import identity, warp
from modules.augmentation.crop import Crop
from modules.augmentation.flip import Flip
from modules.augmentation.rotate import Rotate
from modules.augmentation.scale import Scale
from modules.augmentation.shift import Shift


def slow_warp(image, matrix, padding):
    """Bilinear interpolation by the book, pixel by pixel."""
    channels, height, width = image.shape
    result = np.zeros_like(image)

    def pixel(channel, y, x):
        if padding == "border":
            y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        return image[channel, y, x] if 0 <= y < height and 0 <= x < width else 0.0

    for channel, y, x in np.ndindex(channels, height, width):
        source_x, source_y, _ = matrix @ [x - (width - 1) / 2, y - (height - 1) / 2, 1]
        source_x, source_y = source_x + (width - 1) / 2, source_y + (height - 1) / 2
        left, top = math.floor(source_x), math.floor(source_y)
        right_share, low_share = source_x - left, source_y - top
        result[channel, y, x] = (
            pixel(channel, top, left) * (1 - right_share) * (1 - low_share)
            + pixel(channel, top, left + 1) * right_share * (1 - low_share)
            + pixel(channel, top + 1, left) * (1 - right_share) * low_share
            + pixel(channel, top + 1, left + 1) * right_share * low_share
        )
    return result


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), padding=st.sampled_from(["zeros", "border"]), channels=st.sampled_from([1, 3]))
def test_warping_agrees_with_a_slow_reference(seed, padding, channels):
    random = np.random.default_rng(seed)
    images = random.random((4, channels, 5, 8), dtype=np.float32)
    matrices = identity(4)
    matrices[:, :2] += random.normal(0, 0.4, (4, 2, 3)) * [1, 1, 4]
    expected = np.stack([slow_warp(*pair, padding) for pair in zip(images, matrices, strict=True)])
    warped = warp(torch.from_numpy(images), matrices, padding)
    np.testing.assert_allclose(warped, expected, atol=3e-5)


def test_the_identity_changes_nothing(batch):
    images, draws = batch(channels=3)
    torch.testing.assert_close(warp(images, identity(len(draws.identities)), "zeros"), images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [Rotate, Scale, Crop, Shift])
def test_border_padding_never_shows_the_outside(kind, batch):
    images, draws = batch(num=50)
    ones = torch.ones_like(images)
    torch.testing.assert_close(kind(padding="border")(ones, draws), ones)


@pytest.mark.parametrize("kind", [Rotate, Scale, Crop, Shift])
def test_another_padding_is_refused(kind):
    with pytest.raises(ValueError, match="padding is 'mirror'; allowed are zeros, border"):
        kind(padding="mirror")


@pytest.mark.parametrize("transform", [Shift(2), Shift(3, padding="border"), Flip(), Flip(direction="vertical")])
def test_indexing_and_sampling_agree(transform, batch):
    """What is done by indexing where it stands alone is what its matrices say."""
    images, draws = batch(channels=2)
    matrices = transform.matrices(draws, 9, 7)
    torch.testing.assert_close(transform(images, draws), warp(images, matrices, transform.padding), atol=1e-5, rtol=0)
