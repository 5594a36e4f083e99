import numpy as np
import pytest
import torch

from modules.augmentation.mixing.cutmix import Cutmix
from modules.augmentation.mixing.partners import partners, symmetric_beta


def pasted(mixed, images, others):
    """Which pixels (N x H x W) are the other's; each pixel is of one of the two."""
    ours = (mixed == images).all(dim=1)
    theirs = (mixed == images[others]).all(dim=1)
    assert (ours ^ theirs).all()
    return theirs.numpy()


def test_one_rectangle_comes_from_another_image_and_counts_by_its_area(batch):
    images, draws = batch(num=300, channels=3, height=20, width=10)
    mixed, shares = Cutmix(1.0, 0.7)(images, torch.eye(300), draws)
    others = partners(draws.scoped("mixing"))
    masks = pasted(mixed, images, others)
    for image, mask in enumerate(masks):
        rows, columns = mask.any(axis=1), mask.any(axis=0)
        np.testing.assert_array_equal(mask, rows[:, None] & columns)
        for side in (rows, columns):
            places = np.flatnonzero(side)
            assert len(places) == 0 or len(places) == places[-1] - places[0] + 1
        assert shares[image, image] == pytest.approx(1 - mask.mean(), abs=1e-6)
        assert shares[image, others[image]] == pytest.approx(mask.mean(), abs=1e-6)
    assert 170 < (masks.any(axis=(1, 2))).sum() < 240


def test_a_rectangle_that_fits_leaves_the_share_it_drew(batch):
    """Its sides are whole pixels: the slow version rounds each down, and then cuts off what sticks out."""
    images, draws = batch(num=200, channels=2, height=32, width=16)
    mixed, _ = Cutmix(0.8, 1.0)(images, torch.eye(200), draws)
    scoped = draws.scoped("mixing")
    masks = pasted(mixed, images, partners(scoped))
    for image, share in enumerate(symmetric_beta(scoped, 0.8)):
        mask = np.zeros((32, 16), dtype=bool)
        height, width = int(32 * np.sqrt(1 - share)), int(16 * np.sqrt(1 - share))
        top = int(scoped.uniform("row")[image] * 32) - height // 2
        left = int(scoped.uniform("column")[image] * 16) - width // 2
        mask[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)] = True
        np.testing.assert_array_equal(masks[image], mask)


def test_without_probability_nothing_is_pasted(batch):
    images, draws = batch()
    mixed, shares = Cutmix(probability=0.0)(images, torch.eye(len(images)), draws)
    assert torch.equal(mixed, images)
    assert torch.equal(shares, torch.eye(len(images)))
