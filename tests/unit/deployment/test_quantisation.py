import numpy as np
import onnx
import onnxruntime
import pytest
from deployed import winner_of
from onnx import TensorProto, helper, numpy_helper
from tiny_study import make_data

from modules.data.arrays import open_arrays
from modules.deployment.inference import ExportedModel
from modules.deployment.onnx_export import INPUT
from modules.deployment.quantisation import _verdict, _write, quantise


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


def test_no_steps_are_spent_on_what_an_activation_cuts_off(tmp_path):
    """Of a layer's outputs from -98 to 98, of which 0 to 6 pass, a hundredth is a third of a step or a twentieth."""
    sums = np.linspace(-98, 98, 64, dtype=np.float32).reshape(64, 1, 1, 1)
    initial = [numpy_helper.from_array(sums, "weight"), numpy_helper.from_array(np.array(0, np.float32), "least")]
    initial.append(numpy_helper.from_array(np.array(6, np.float32), "most"))
    nodes = [
        helper.make_node("Cast", [INPUT], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["pixels", "weight"], ["sums"]),
        helper.make_node("Clip", ["sums", "least", "most"], ["cut"]),
    ]
    images = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", 1, 1, 1])
    cut = helper.make_tensor_value_info("cut", TensorProto.FLOAT, ["n", 64, 1, 1])
    graph = helper.make_graph(nodes, "cut", [images], [cut], initial)
    model, path = tmp_path / "model.onnx", tmp_path / "model.int8.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), model)
    _write(model, path, np.ones((4, 1, 1, 1), np.uint8))
    assert "Clip" not in {node.op_type for node in onnx.load(path).graph.node}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (seen,) = session.run(None, {INPUT: np.ones((1, 1, 1, 1), np.uint8)})
    assert np.abs(seen.ravel() - np.clip(sums.ravel(), 0, 6)).max() < 6 / 255


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
