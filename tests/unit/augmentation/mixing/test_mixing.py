"""What all ways of mixing have in common."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modules.augmentation.draws import Draws
from modules.augmentation.mixing.cutmix import Cutmix
from modules.augmentation.mixing.mixup import Mixup
from modules.augmentation.mixing.partners import partners, symmetric_beta

WAYS = [Mixup(), Mixup(2.0), Cutmix(), Cutmix(0.3, 1.0)]
IDENTITIES = np.random.default_rng(0).integers(0, 2**63, 5000).astype(np.uint64)


def targets_of(num, num_classes=7):
    labels = torch.from_numpy(np.random.default_rng(num).integers(0, num_classes, num))
    return torch.nn.functional.one_hot(labels, num_classes).float()


@pytest.mark.parametrize("mixing", WAYS)
@given(num=st.integers(1, 20), channels=st.integers(1, 3), height=st.integers(1, 9), width=st.integers(1, 9))
def test_shares_are_shares_and_nothing_else_changes(mixing, num, channels, height, width):
    images = torch.rand(num, channels, height, width, generator=torch.Generator().manual_seed(num))
    targets = targets_of(num)
    given_images, given_targets = images.clone(), targets.clone()
    mixed, shares = mixing(images, targets, Draws(1, 2, IDENTITIES[:num]))
    assert torch.equal(images, given_images)
    assert torch.equal(targets, given_targets)
    assert mixed.shape == images.shape
    assert (mixed.dtype, shares.dtype) == (torch.float32, torch.float32)
    assert ((shares >= 0) & (shares <= 1)).all()
    np.testing.assert_allclose(shares.sum(1), 1.0, rtol=1e-6)
    assert ((mixed >= images.amin(0) - 1e-6) & (mixed <= images.amax(0) + 1e-6)).all()


@pytest.mark.parametrize("mixing", WAYS)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_stay_channels_last(batch, mixing, channels):
    images, draws = batch(channels=channels)
    mixed, _ = mixing(images, targets_of(len(images)), draws)
    assert mixed.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("mixing", WAYS)
def test_every_epoch_mixes_anew_and_every_run_alike(batch, mixing):
    images, draws = batch(num=50)
    targets = targets_of(50)
    first, again = mixing(images, targets, draws), mixing(images, targets, draws)
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    later, _ = mixing(images, targets, Draws(draws.seed, draws.epoch + 1, draws.identities))
    assert not torch.equal(later, first[0])


@pytest.mark.parametrize("mixing", WAYS)
def test_the_order_within_the_batch_does_not_matter(batch, mixing):
    images, draws = batch(num=30)
    targets = targets_of(30)
    order = torch.from_numpy(np.random.default_rng(5).permutation(30))
    mixed, shares = mixing(images, targets, draws)
    reordered = Draws(draws.seed, draws.epoch, draws.identities[order.numpy()])
    for result, expected in zip(mixing(images[order], targets[order], reordered), (mixed, shares), strict=True):
        torch.testing.assert_close(result, expected[order])


@given(st.integers(2, 50), st.integers(0, 2**63))
def test_partners_are_a_circle_through_all(num, seed):
    others = partners(Draws(seed, 0, IDENTITIES[:num])).tolist()
    place, visited = 0, []
    for _ in range(num):
        place = others[place]
        visited.append(place)
    assert sorted(visited) == list(range(num))


def test_every_pair_comes_about_as_often():
    counts = np.zeros((5, 5))
    for epoch in range(2000):
        counts[np.arange(5), partners(Draws(0, epoch, IDENTITIES[:5])).numpy()] += 1
    assert (np.diag(counts) == 0).all()
    assert np.abs(counts[~np.eye(5, dtype=bool)] - 500).max() < 90  # four and a half standard deviations


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 3.0])
def test_shares_have_the_moments_of_a_beta_distribution(alpha):
    shares = symmetric_beta(Draws(0, 0, IDENTITIES), alpha)
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)
