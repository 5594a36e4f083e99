import numpy as np

from modules.data.digits import read_digits


def test_the_bundled_digits_use_the_whole_range():
    raw = read_digits()
    assert raw.train_images.shape == (1797, 8, 8, 1)
    assert (raw.train_images.min(), raw.train_images.max()) == (0, 255)
    assert np.bincount(raw.train_labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert raw.classes == tuple("0123456789")
    assert raw.test_images is None


def test_the_levels_of_the_file_stay_apart():
    assert len(np.unique(read_digits().train_images)) == 17
