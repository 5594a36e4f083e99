import numpy as np
import pytest

from modules.augmentation.flip import Flip


@pytest.mark.parametrize(("direction", "axis"), [("horizontal", 3), ("vertical", 2)])
def test_each_image_is_itself_or_its_mirror_image(direction, axis, batch):
    images, draws = batch(num=400, channels=2)
    flipped = Flip(0.25, direction)(images, draws).numpy()
    mirrored = np.flip(images.numpy(), axis)
    was_flipped = (flipped == mirrored).all(axis=(1, 2, 3))
    was_kept = (flipped == images.numpy()).all(axis=(1, 2, 3))
    assert (was_flipped ^ was_kept).all()
    assert 60 < was_flipped.sum() < 140


def test_certain_and_impossible_flips(batch):
    images, draws = batch()
    np.testing.assert_array_equal(Flip(1.0)(images, draws), images.flip(3))
    np.testing.assert_array_equal(Flip(0.0)(images, draws), images)


def test_another_direction_is_refused():
    with pytest.raises(ValueError, match="direction is 'diagonal'; allowed are horizontal, vertical"):
        Flip(direction="diagonal")
