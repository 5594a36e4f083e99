import numpy as np
import pytest
import torch

from modules.augmentation.shift import Shift


def slow_shift(image, x, y):
    result = np.zeros_like(image)
    channels, height, width = image.shape
    for channel, row, column in np.ndindex(channels, height, width):
        if 0 <= row + y < height and 0 <= column + x < width:
            result[channel, row, column] = image[channel, row + y, column + x]
    return result


@pytest.mark.parametrize("max_pixels", [0, 1, 2, 2.7, 20])
def test_agrees_with_a_slow_reference(max_pixels, batch):
    images, draws = batch(channels=3)
    shift = Shift(max_pixels)
    offsets = shift.matrices(draws, 9, 7)[:, :2, 2].astype(int)
    expected = [slow_shift(image, *offset) for image, offset in zip(images.numpy(), offsets, strict=True)]
    np.testing.assert_array_equal(shift(images, draws), np.stack(expected))


def test_every_whole_offset_is_as_likely(batch):
    _, draws = batch(num=9000)
    offsets, counts = np.unique(Shift(1.9).matrices(draws, 9, 7)[:, 0, 2], return_counts=True)
    assert offsets.tolist() == [-1, 0, 1]
    assert counts.min() > 2800


def test_fractions_of_pixels(batch):
    images, draws = batch(num=500)
    offsets = Shift(0.5, subpixel=True).matrices(draws, 9, 7)[:, :2, 2]
    assert np.abs(offsets).max() <= 0.5
    assert len(np.unique(offsets)) == 1000
    moved = Shift(0.5, subpixel=True)(images, draws)
    assert moved.shape == images.shape
    assert not torch.equal(moved, images)
