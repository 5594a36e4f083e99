import numpy as np
import pytest
from PIL import ImageOps

from modules.augmentation.posterize import Posterize


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_it_is_pillows(bits, shades, as_pillow):
    images, draws, pictures = shades()
    as_pillow(Posterize(bits)(images, draws), [ImageOps.posterize(one, bits) for one in pictures], within=1e-3)


def test_every_number_of_bits_is_drawn(batch):
    images, draws = batch(num=500, height=20, width=20)
    left = [len(np.unique(one)) for one in Posterize(5)(images, draws).numpy()]
    counts = np.bincount(np.digitize(left, [33, 65, 129]), minlength=4)  # 32, 64 and 128 shades, and as they were
    assert counts.min() > 90
