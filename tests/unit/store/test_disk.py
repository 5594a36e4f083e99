import errno
import os

import numpy as np
import pytest

from modules.disk import new_array


@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
def test_a_new_array_has_its_space_and_can_be_written(tmp_path, dtype):
    path = tmp_path / "array.npy"
    path.write_bytes(b"what was there before")
    array = new_array(path, (300, 1000), dtype)
    assert path.stat().st_blocks * 512 >= path.stat().st_size > array.nbytes
    array[7] = 3
    array.flush()
    read = np.load(path)
    assert (read.dtype, read.shape) == (dtype, (300, 1000))
    assert read.sum() == 3 * 1000


def test_a_full_disk_is_an_error_and_no_signal(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        new_array(tmp_path / "array.npy", (3, 3), np.uint8)
