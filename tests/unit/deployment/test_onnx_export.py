import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from random_networks import architectures, random_network, random_weights

from modules.architecture.start import first_architecture
from modules.deployment.inference import ExportedModel
from modules.deployment.latency import measure_latency_ms
from modules.deployment.onnx_export import export_onnx

START = first_architecture((1, 28, 28), 10, 1000, (0.2,), (0.3,))


def exported(architecture, folder):
    path = folder / "model.onnx"
    classes = [f"class {number}" for number in range(architecture.num_classes)]
    export_onnx(architecture, random_weights(architecture), classes, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("onnx")


@settings(max_examples=40)
@given(architectures())
def test_it_computes_what_torch_computes(folder, architecture):
    model, network = ExportedModel(exported(architecture, folder)), random_network(architecture)
    channels, height, width = architecture.image_shape
    for number in (1, 2, 7):
        images = np.random.default_rng(number).integers(0, 256, (number, height, width, channels), dtype=np.uint8)
        with torch.no_grad():
            logits = network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
        found = model.probabilities(images)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, logits.softmax(1).numpy(), atol=1e-5)


def test_batches_are_joined(tmp_path):
    model = ExportedModel(exported(START, tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (300, 28, 28, 1), dtype=np.uint8)
    found = model.probabilities(images)
    assert found.shape == (300, 10)
    np.testing.assert_allclose(found[299], model.probabilities(images[299:])[0], atol=1e-6)
    assert model.probabilities(images[:0]).shape == (0, 10)


def test_it_says_what_it_takes_and_gives(tmp_path):
    path = exported(START, tmp_path)
    model = ExportedModel(path)
    assert model.image_shape == (28, 28, 1)
    assert model.classes[9] == "class 9"
    assert {one.domain or "ai.onnx": one.version for one in onnx.load(path).opset_import} == {"ai.onnx": 20}


def test_the_same_weights_are_the_same_bytes(tmp_path):
    (tmp_path / "again").mkdir()
    assert exported(START, tmp_path).read_bytes() == exported(START, tmp_path / "again").read_bytes()


def test_latency_is_a_small_positive_number(tmp_path):
    assert 0 < measure_latency_ms(exported(START, tmp_path)) < 1000
