import numpy as np
import torch

from modules.augmentation.erase import Erase


def test_one_rectangle_within_bounds_takes_the_value_and_the_rest_stays(batch):
    images, draws = batch(num=300, channels=3, height=20, width=10)
    result = Erase(0.7, max_fraction=0.5, value=2.0)(images, draws).numpy()
    erased = (result == 2.0).all(axis=1)
    np.testing.assert_array_equal(np.where(erased[:, None], images, result), images)
    num_erased = 0
    for mask in erased:
        rows, columns = mask.any(axis=1), mask.any(axis=0)
        np.testing.assert_array_equal(mask, rows[:, None] & columns)
        for side, longest in ((rows, 10), (columns, 5)):
            places = np.flatnonzero(side)
            assert len(places) <= longest
            assert len(places) == 0 or len(places) == places[-1] - places[0] + 1
        num_erased += mask.any()
    assert 180 < num_erased < 240


def test_every_pixel_can_be_erased(batch):
    images, draws = batch(num=2000)
    result = Erase(1.0, max_fraction=0.4, value=-1.0)(images, draws)
    assert ((result == -1).float().mean(dim=0) > 0.01).all()


def test_the_images_given_are_not_written_to(batch):
    images, draws = batch()
    before = images.clone()
    Erase(1.0)(images, draws)
    assert torch.equal(images, before)
