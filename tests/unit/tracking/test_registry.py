from pathlib import Path

import numpy as np
import onnx
from made_up_trials import STUDY
from mlflow import MlflowClient
from onnx import TensorProto, helper
from test_sink import empty_home, home, sink, uri_of  # noqa: F401

from modules.tracking.registry import RegisteredBundle, number_of
from modules.tracking.sink import MlflowSink


def bundle(folder: Path, version: str) -> RegisteredBundle:
    """A model that gives each image's four bytes as probabilities."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 2, 2, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    return RegisteredBundle(
        model="tiny",
        version=version,
        model_file=folder / "model.onnx",
        image_shape=(2, 2, 1),
        num_classes=4,
        description="a card",
    )


def test_a_bundle_is_registered_once_and_aliases_follow(home: Path, sink: MlflowSink, tmp_path: Path) -> None:  # noqa: F811
    sink.write_study(STUDY)
    for version in ("a", "b", "a"):
        sink.register_bundle(STUDY.name, bundle(tmp_path, version))
    sink.point_alias("tiny", "a", "champion")
    sink.point_alias("tiny", "unknown", "champion")
    assert sink.is_on
    client = MlflowClient(uri_of(home))
    assert [number_of(client, "tiny", version) for version in ("a", "b", "c")] == ["1", "2", None]
    assert (
        client.get_model_version_by_alias("tiny", "champion").version == client.get_model_version("tiny", "1").version
    )
    assert (
        client.get_model_version_by_alias("tiny", "challenger").version == client.get_model_version("tiny", "1").version
    )
    assert client.get_model_version("tiny", "2").description == "a card"


def test_the_registered_model_says_what_it_takes_and_answers(home: Path, sink: MlflowSink, tmp_path: Path) -> None:  # noqa: F811
    sink.write_study(STUDY)
    sink.register_bundle(STUDY.name, bundle(tmp_path, "a"))
    import mlflow.pyfunc

    assert sink.is_on
    (folder,) = (home / "artifacts").rglob("model/MLmodel")
    loaded = mlflow.pyfunc.load_model(str(folder.parent))
    assert str(loaded.metadata.signature.inputs.inputs[0].type) == "uint8"
    assert loaded.metadata.saved_input_example_info is not None
    images = np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1)
    found = loaded.predict({"images": images})
    np.testing.assert_array_equal(found["probabilities"], images.reshape(2, 4))
