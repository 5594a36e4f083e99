import subprocess
import sys

import torch

from modules.data.arrays import open_arrays
from modules.data.load import load_data
from modules.records import Part
from modules.store import Store


def test_arrays_are_mapped_and_torch_takes_them_without_a_warning(tmp_path):
    record = load_data(
        Part(target="modules.data.digits.read_digits"),
        "digits",
        (0.1, 0.1, 0.2),
        0,
        tmp_path,
        Store(tmp_path / "store"),
    )
    arrays = open_arrays(tmp_path, record)
    assert torch.from_numpy(arrays.images).shape == (1796, 8, 8, 1)  # one is nearly the same as one in another part
    arrays.labels[0] = 7  # in this process alone
    assert open_arrays(tmp_path, record).labels[0] == 0
    assert len(arrays.indices("test")) == record.num_images["test"]


def test_reading_data_needs_no_torch():
    script = "import sys, modules.data.load, modules.data.arrays, modules.data.idx; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
