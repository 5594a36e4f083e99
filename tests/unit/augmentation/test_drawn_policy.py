import numpy as np
import torch

from modules.augmentation.brightness import Brightness
from modules.augmentation.drawn import apply_drawn
from modules.augmentation.draws import Draws
from modules.augmentation.flip import Flip
from modules.augmentation.policy import DrawnPolicy, build_policy
from modules.augmentation.rotate import Rotate
from modules.augmentation.shift import Shift
from modules.records import Part

TRANSFORMS = [Flip(1.0), Rotate(20.0), Shift(2.0, padding="border"), Brightness(0.5)]


def test_half_stay_and_the_others_go_through_one_each(batch):
    images, draws = batch(num=400)
    changed = DrawnPolicy(TRANSFORMS)(images, draws)
    numbers = np.floor(draws.uniform("transform") * 8).astype(int)
    for place, number in enumerate(numbers):
        here = np.array([place])
        expected = images[here]
        if number >= 4:
            expected = TRANSFORMS[number - 4](expected, draws.of(here).scoped(str(number)))
        torch.testing.assert_close(changed[here], expected, atol=1e-5, rtol=0)
    assert 160 < (numbers < 4).sum() < 240


def test_an_image_comes_out_the_same_in_every_batch(batch):
    images, draws = batch(num=60, channels=3)
    order = np.random.default_rng(0).permutation(60)[:23]
    policy = DrawnPolicy(TRANSFORMS)
    whole = policy(images, draws)
    assert torch.equal(policy(images[order], draws.of(order)), whole[order])
    assert whole.is_contiguous(memory_format=torch.channels_last)


def test_the_images_given_are_not_written_to(batch):
    images, draws = batch()
    before = images.clone()
    apply_drawn(TRANSFORMS, images, draws)
    assert torch.equal(images, before)


def test_the_mode_says_which_policy_is_built(batch):
    images, draws = batch(num=100)
    parts = [Part(target="modules.augmentation.flip.Flip", arguments={"probability": 1.0})]
    everything, one = (build_policy(parts, mode)(images, draws) for mode in ("all", "one"))
    torch.testing.assert_close(everything, images.flip(3))
    stays = (one == images).all(dim=3).all(dim=2).all(dim=1).float().mean()
    assert 0.35 < stays < 0.65
    assert DrawnPolicy([])(images, Draws(0, 0, draws.identities)) is images
