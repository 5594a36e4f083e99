import numpy as np
import pytest
from deployed import winner_of
from tiny_study import make_data

from modules.data.arrays import open_arrays
from modules.deployment.inference import ExportedModel
from modules.deployment.quantisation import _verdict, quantise


def test_the_small_model_is_measured_against_the_full_one(home, tmp_path):
    winner = winner_of(home, "good")
    path = tmp_path / "model.int8.onnx"
    measured = quantise(winner.model, path, home, make_data(home), margin=1.0)
    assert path.exists() == measured.kept
    arrays = open_arrays(home, make_data(home))
    confirm = arrays.indices("confirm")
    full = ExportedModel(winner.model).probabilities(arrays.images[confirm]).argmax(1)
    assert 0 <= measured.agreement <= 1
    assert measured.size_bytes > 0
    if measured.kept:
        small = ExportedModel(path).probabilities(arrays.images[confirm]).argmax(1)
        labels = arrays.labels[confirm]
        assert measured.error_rise == pytest.approx(np.mean(small != labels) - np.mean(full != labels))


@pytest.mark.parametrize(
    ("size", "latency", "rise", "kept", "said"),
    [
        (0.3, 1.0, 0.0, True, "30% of the size"),
        (1.0, 0.5, 0.004, True, "50% of the latency"),
        (0.95, 0.95, 0.0, False, "not worth it"),
        (0.3, 0.5, 0.01, False, "its error on confirm is 1.00% higher; allowed is 0.50%"),
    ],
)
def test_it_is_kept_where_it_is_smaller_or_faster_and_not_worse(size, latency, rise, kept, said):
    found, reason = _verdict(size, latency, rise, margin=0.005)
    assert found == kept
    assert said in reason
