import base64
import io

import numpy as np
from PIL import Image

from modules.explanation.pictures import overlay, picture


def opened(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")).astype(int)


def test_a_small_picture_has_every_pixel():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    assert (opened(picture(image)) == np.repeat(image, 3, axis=2)).all()


def test_a_large_one_is_made_smaller():
    image = np.zeros((300, 200, 3), dtype=np.uint8)
    assert opened(picture(image)).shape == (112, 75, 3)
    assert len(picture(image)) < 8000


def test_red_speaks_for_the_class_and_blue_against_it():
    values = np.zeros((8, 8))
    values[0, 0], values[7, 7] = 1.0, -1.0
    pixels = opened(overlay(np.full((8, 8, 1), 128, dtype=np.uint8), values))
    assert pixels[0, 0, 0] > pixels[0, 0, 2] + 80
    assert pixels[7, 7, 2] > pixels[7, 7, 0] + 80
    assert np.ptp(pixels[3, 3]) == 0  # grey where nothing is said


def test_maps_of_nothing_can_be_drawn():
    assert opened(overlay(np.zeros((4, 4, 3), dtype=np.uint8), np.zeros((4, 4)))).shape == (4, 4, 3)
