import numpy as np
import torch

from modules.augmentation.mixing.mixup import Mixup
from modules.augmentation.mixing.partners import partners, symmetric_beta


def test_each_image_and_its_target_are_blended_in_the_same_share(batch):
    images, draws = batch(num=40, channels=3)
    targets = torch.eye(40)  # a class for each image shows who is in it
    mixed, shares = Mixup(0.7)(images, targets, draws)
    scoped = draws.scoped("mixing")
    others, ours = partners(scoped).numpy(), symmetric_beta(scoped, 0.7)
    for image in range(40):
        share, other = ours[image], others[image]
        expected = share * images[image].numpy() + (1 - share) * images[other].numpy()
        np.testing.assert_allclose(mixed[image], expected, rtol=1e-5, atol=1e-6)
        assert set(np.flatnonzero(shares[image])) <= {image, other}
        np.testing.assert_allclose(shares[image, [image, other]], [share, 1 - share], rtol=1e-5, atol=1e-6)


def test_an_image_alone_stays_what_it_is(batch):
    images, draws = batch(num=1)
    mixed, shares = Mixup(1.0)(images, torch.ones(1, 1), draws)
    torch.testing.assert_close(mixed, images)
    torch.testing.assert_close(shares, torch.ones(1, 1))
