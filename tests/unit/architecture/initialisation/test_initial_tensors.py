import numpy as np
import pytest

from modules.architecture.initialisation.kaiming import Kaiming
from modules.architecture.initialisation.xavier import Xavier
from modules.architecture.module import initial_tensors
from modules.architecture.start import first_architecture

ARCHITECTURE = first_architecture((1, 28, 28), 10, 1000, (0.1,), (0.3,))


def test_kaiming_has_its_spread():
    weight = initial_tensors(ARCHITECTURE, Kaiming(gain=2.0), 0)["conv3.weight"]
    fan_in = weight[0].size
    assert weight.std() == pytest.approx(2.0 / np.sqrt(fan_in), rel=0.02)
    assert abs(weight.mean()) < 4 * weight.std() / np.sqrt(weight.size)


def test_xavier_fills_its_range_evenly():
    weight = initial_tensors(ARCHITECTURE, Xavier(), 0)["conv3.weight"]
    limit = np.sqrt(6 / (9 * (weight.shape[0] + weight.shape[1])))
    assert np.abs(weight).max() == pytest.approx(limit, rel=0.01)
    assert weight.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)


@pytest.mark.parametrize("initialiser", [Kaiming(), Xavier()])
def test_a_tensor_depends_on_seed_and_name_alone(initialiser):
    wider = ARCHITECTURE.with_changed({"conv1": {"channels": 40}})
    first, second = initial_tensors(ARCHITECTURE, initialiser, 3), initial_tensors(wider, initialiser, 3)
    np.testing.assert_array_equal(first["conv3.weight"], second["conv3.weight"])
    other = initial_tensors(ARCHITECTURE, initialiser, 4)
    assert (first["conv3.weight"] != other["conv3.weight"]).any()
    assert first["conv2.weight"].ravel()[0] != first["conv3.weight"].ravel()[0]


def test_vectors_are_neutral():
    tensors = initial_tensors(ARCHITECTURE, Kaiming(), 0)
    assert set(tensors) == set(ARCHITECTURE.tensors())
    for parameter, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
        assert (tensors[f"norm1.{parameter}"] == value).all()
    assert all(values.dtype == np.float32 for values in tensors.values())
