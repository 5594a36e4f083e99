import numpy as np
import torch

from modules.augmentation.noise import Noise


def test_the_noise_is_normal_and_as_strong_as_drawn(batch):
    images, draws = batch(num=60, channels=3, height=30, width=20)
    grey = torch.full_like(images, 0.5)
    noise = (Noise(0.1)(grey, draws) - 0.5).numpy()
    stds = draws.up_to("std", 0.1)
    np.testing.assert_allclose(noise.std(axis=(1, 2, 3)), stds, rtol=0.06)
    scaled = noise / stds[:, None, None, None]
    assert abs(scaled.mean()) < 0.02
    assert abs((np.abs(scaled) < 1).mean() - 0.6827) < 0.01
    columns = scaled.reshape(60, -1)[:20]
    assert np.abs(np.corrcoef(columns) - np.eye(20)).max() < 0.12  # five standard errors


def test_an_epoch_for_each_image_is_that_epoch(batch):
    images, draws = batch()
    each = type(draws)(draws.seed, np.full(len(images), draws.epoch, dtype=np.uint64), draws.identities)
    assert torch.equal(Noise()(images, draws), Noise()(images, each))
