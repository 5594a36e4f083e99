import numpy as np

from modules.selection.keep_all import KeepAll


def test_every_image_is_kept():
    kept = KeepAll()(np.array([1, 0, 1]), np.array([7, 7, 8], dtype=np.uint64))
    assert kept.tolist() == [0, 1, 2]
    assert kept.dtype == np.int64
