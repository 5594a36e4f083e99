import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modules.data.duplicates import Twin, find_twins
from modules.data.parts import content_hashes
from tests.unit.data.pictures import picture


def pictures(seeds, **arguments):
    return np.stack([np.asarray(picture(seed, **arguments)) for seed in seeds])


def twins_of(images, others):
    return find_twins(images, content_hashes(images), others, content_hashes(others))


def recompressed(image):
    content = io.BytesIO()
    Image.fromarray(image).save(content, "JPEG", quality=75, subsampling=0)
    return np.asarray(Image.open(content))


def test_copies_are_found_and_nothing_else():
    images, others = pictures(range(40)), pictures(range(100, 140))
    others[7] = images[3]
    others[9] = recompressed(images[5])
    others[30] = (images[20] * 0.8).astype(np.uint8)
    assert twins_of(images, others) == [Twin(3, 7, True), Twin(5, 9, False), Twin(20, 30, False)]


def test_images_of_one_shade_are_copies_only_if_they_are_equal():
    images = np.stack([np.full((8, 8, 1), shade, dtype=np.uint8) for shade in (0, 100, 101)])
    assert twins_of(images, images[1:2]) == [Twin(1, 0, True)]


def test_of_several_near_copies_the_nearest_is_named():
    images = pictures([1])
    noisy = np.clip(images.astype(int) + np.random.default_rng(0).normal(0, 4, images.shape), 0, 255).astype(np.uint8)
    slightly = images.copy()
    slightly[0, 0, 0] ^= 1
    assert twins_of(images, np.concatenate([noisy, slightly])) == [Twin(0, 1, False)]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_window_misses_no_pair(seed):
    """Against all pairs, compared without a window."""
    random = np.random.default_rng(seed)
    base = random.integers(0, 256, (4, 7, 7, 1))
    images, others = (
        np.clip(base[random.integers(0, 4, 60)] + random.normal(0, 20, (60, 7, 7, 1)), 0, 255).astype(np.uint8)
        for _ in range(2)
    )
    correlations = np.corrcoef(images.reshape(60, -1), others.reshape(60, -1))[:60, 60:]
    expected = np.flatnonzero((correlations >= 0.99).any(axis=1))
    assert [twin.row for twin in twins_of(images, others)] == expected.tolist()


@pytest.mark.parametrize("num", [1, 3])
def test_few_images(num):
    images = pictures(range(num))
    assert [twin.exact for twin in twins_of(images, images)] == [True] * num
