from pathlib import Path

import numpy as np
import pytest

from modules.data import mapped as mapped_module
from modules.data.mapped import Mapped, open_mapped


@pytest.fixture
def array(tmp_path):
    values = np.arange(600 * 5 * 7, dtype=np.uint16).reshape(600, 5, 7)
    np.save(tmp_path / "values.npy", values)
    return values, tmp_path / "values.npy"


@pytest.mark.parametrize("least", [0, 2**40])
def test_rows_are_those_of_the_file_also_after_pages_were_let_go(array, least, monkeypatch):
    monkeypatch.setattr(mapped_module, "_LEAST_BYTES", least)
    values, path = array
    opened = open_mapped(path)
    random = np.random.default_rng(0)
    for _ in range(20):
        rows = random.integers(0, 600, 50)
        np.testing.assert_array_equal(opened[rows], values[rows])
        np.testing.assert_array_equal(opened[100:300][rows % 200], values[100:300][rows % 200])
    np.testing.assert_array_equal(opened[7], values[7])
    np.testing.assert_array_equal(opened[opened[:, 0, 0] > 5000], values[values[:, 0, 0] > 5000])
    assert opened[1, 2, 3] == values[1, 2, 3]


def test_chosen_rows_are_an_array_in_memory_and_can_be_changed(array):
    values, path = array
    rows = open_mapped(path)[np.array([3, 4])]
    assert not isinstance(rows, Mapped)
    rows[:] = 0
    np.testing.assert_array_equal(open_mapped(path)[3:5], values[3:5])


def test_a_process_that_has_read_all_holds_little_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(mapped_module, "_LEAST_BYTES", 8 * 2**20)
    np.save(tmp_path / "large.npy", np.ones((64 * 1024, 1024), dtype=np.uint8))
    opened = open_mapped(tmp_path / "large.npy")

    def resident():
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("RssFile")).split()[1]) / 1024

    before = resident()
    most = 0.0
    for first in range(0, 64 * 1024, 512):
        assert opened[first : first + 512].sum() == 512 * 1024
        most = max(most, resident() - before)
    for chosen in np.random.default_rng(0).permutation(64 * 1024).reshape(-1, 512):
        assert opened[chosen].sum() == 512 * 1024
        most = max(most, resident() - before)
    assert most < 48  # MiB of 64, and most of it what a read maps around itself
