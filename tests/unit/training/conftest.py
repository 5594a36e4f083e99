import pytest
import torch
from tiny_study import make_data


@pytest.fixture
def home(tmp_path):
    return tmp_path


@pytest.fixture
def data(home):
    return make_data(home)


@pytest.fixture(autouse=True)
def one_thread():
    """So that the sums of a training are taken in one order whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
