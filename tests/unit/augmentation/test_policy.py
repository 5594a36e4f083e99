import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.augmentation import policy as policy_module
from modules.augmentation.affine import Affine, identity, warp
from modules.augmentation.auto_contrast import AutoContrast
from modules.augmentation.blur import Blur
from modules.augmentation.brightness import Brightness
from modules.augmentation.colour import Colour
from modules.augmentation.contrast import Contrast
from modules.augmentation.crop import Crop
from modules.augmentation.draws import Draws
from modules.augmentation.equalize import Equalize
from modules.augmentation.erase import Erase
from modules.augmentation.flip import Flip
from modules.augmentation.noise import Noise
from modules.augmentation.policy import Policy, build_policy
from modules.augmentation.posterize import Posterize
from modules.augmentation.rand_augment import RandAugment
from modules.augmentation.rotate import Rotate
from modules.augmentation.scale import Scale
from modules.augmentation.sharpness import Sharpness
from modules.augmentation.shear import Shear
from modules.augmentation.shift import Shift
from modules.augmentation.solarize import Solarize
from modules.augmentation.trivial_augment import TrivialAugment
from modules.records import Part

ANY = [
    Rotate(),
    Scale(),
    Shift(),
    Shift(1.5, subpixel=True),
    Shift(padding="border"),
    Flip(),
    Flip(direction="vertical"),
    Crop(),
    Erase(),
    Shear(),
    Blur(),
    Noise(),
    Contrast(),
    Brightness(),
    Colour(),
    Sharpness(),
    Posterize(),
    Solarize(),
    AutoContrast(),
    Equalize(),
    TrivialAugment(),
    RandAugment(),
]


class Fixed(Affine):
    """The same matrix for each image."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = np.array(matrix, dtype=float)

    def matrices(self, draws, height, width):
        return identity(len(draws.identities)) @ self.matrix


QUARTER_TURN = Fixed([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
TO_THE_SIDE = Fixed([[1, 0, 2], [0, 1, 0], [0, 0, 1]])


def test_no_transform_changes_nothing(batch):
    images, draws = batch()
    assert Policy([])(images, draws) is images


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1000), channels=st.sampled_from([1, 3]))
def test_an_image_comes_out_the_same_in_every_batch(data, seed, channels):
    """Bit by bit, whatever the order and the size of the batch."""
    transforms = data.draw(st.lists(st.sampled_from(ANY), min_size=1, max_size=4))
    random = np.random.default_rng(seed)
    images = torch.from_numpy(random.random((17, 11, 13, channels), dtype=np.float32)).permute(0, 3, 1, 2)
    identities = random.integers(0, 2**63, 17).astype(np.uint64)
    order = random.permutation(17)[: random.integers(1, 18)]
    policy = Policy(transforms)
    whole = policy(images, Draws(seed, 2, identities))
    part = policy(images[torch.from_numpy(order)], Draws(seed, 2, identities[order]))
    assert torch.equal(part, whole[torch.from_numpy(order)])


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("transform", ANY, ids=lambda transform: type(transform).__name__)
def test_shape_type_and_layout_are_kept(transform, channels_last, batch):
    images, draws = batch(channels=3, channels_last=channels_last)
    result = Policy([transform])(images, draws)
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert result.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    assert 0 <= result.min() <= result.max() <= 1


@pytest.mark.parametrize("order", [(QUARTER_TURN, TO_THE_SIDE), (TO_THE_SIDE, QUARTER_TURN)])
def test_composing_is_doing_one_after_the_other(order, batch):
    images, draws = batch(height=15, width=15)
    images[:, :, :4] = images[:, :, -4:] = images[..., :4] = images[..., -4:] = 0  # nothing is moved off the image
    one_by_one = images
    for transform in order:
        one_by_one = transform(one_by_one, draws)
    torch.testing.assert_close(Policy(order)(images, draws), one_by_one, atol=1e-5, rtol=0)
    assert not torch.allclose(one_by_one, Policy(order[::-1])(images, draws), atol=0.1)


@pytest.mark.parametrize(
    ("transforms", "samplings"),
    [
        ([Rotate(), Scale(), Shift()], 1),
        ([Flip(), Rotate(), Shift(1.0, subpixel=True)], 1),
        ([Rotate(), Erase(), Scale()], 2),
        ([Rotate(), Scale(padding="border")], 2),
        ([Flip(), Shift()], 0),
    ],
)
def test_neighbours_sample_the_images_once(transforms, samplings, batch, monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return warp(*arguments)

    monkeypatch.setattr(policy_module, "warp", counted)
    monkeypatch.setattr("modules.augmentation.affine.warp", counted)
    Policy(transforms)(*batch())
    assert len(calls) == samplings


def test_another_kind_of_transform_changes_no_draw(batch):
    images, draws = batch(num=200)
    plain = Policy([Flip()])(images, draws)
    with_nothing = Policy([Erase(probability=0.0), Flip(), Shift(0)])(images, draws)
    assert torch.equal(plain, with_nothing)


def test_two_of_a_kind_draw_apart(batch):
    images, draws = batch(num=200)
    twice = Policy([Flip(), Flip()])(images, draws)
    assert not torch.equal(twice, images)


def test_epochs_differ_and_repeat(batch):
    images, draws = batch()
    policy = Policy([Rotate(), Shift()])
    again = policy(images, Draws(draws.seed, draws.epoch, draws.identities))
    other = policy(images, Draws(draws.seed, draws.epoch + 1, draws.identities))
    assert torch.equal(policy(images, draws), again)
    assert not torch.equal(again, other)


def test_a_policy_is_built_from_parts(batch):
    parts = [
        Part(target="modules.augmentation.rotate.Rotate", arguments={"max_degrees": 5.0}),
        Part(target="modules.augmentation.shift.Shift"),
    ]
    built = build_policy(parts)
    images, draws = batch()
    assert torch.equal(built(images, draws), Policy([Rotate(5.0), Shift()])(images, draws))


def test_what_was_drawn_stays_drawn():
    """Golden values: where these change, the REVISION of what changed must be raised."""
    images = torch.arange(2 * 25, dtype=torch.float32).reshape(2, 1, 5, 5) / 50
    draws = Draws(7, 1, np.array([3, 4], dtype=np.uint64))
    results = {type(transform).__name__: transform(images, draws)[0, 0, 2] for transform in GOLDEN}
    for name, result in results.items():
        np.testing.assert_allclose(result, GOLDEN_ROWS[name], atol=1e-5, err_msg=name)


GOLDEN = [Rotate(), Scale(), Shift(), Flip(), Crop(), Erase(1.0)]
GOLDEN_ROWS = {
    "Rotate": [0.185348, 0.212674, 0.24, 0.267326, 0.294652],
    "Scale": [0.201615, 0.220807, 0.24, 0.259193, 0.278385],
    "Shift": [0.0, 0.0, 0.3, 0.32, 0.34],
    "Flip": [0.28, 0.26, 0.24, 0.22, 0.2],
    "Crop": [0.219292, 0.236581, 0.253871, 0.27116, 0.288449],
    "Erase": [0.2, 0.22, 0.24, 0.26, 0.28],
}
