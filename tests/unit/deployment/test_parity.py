"""What a bundle is asked before it is kept."""

import numpy as np
import pytest
from deployed import deploy, winner_of

from modules.deployment import parity, quantisation
from modules.deployment.bundles import load
from modules.deployment.inference import ExportedModel
from modules.deployment.server.settings import Settings
from modules.deployment.serving import served


def test_no_request_is_larger_than_the_server_takes(good, monkeypatch):
    images = np.full((60, 8, 8, 1), 255, dtype=np.uint8)  # which are longest in JSON
    expected = load(good).predict(images).probabilities
    assert Settings.max_body_bytes >= parity._MOST_BYTES
    monkeypatch.setattr(parity, "_MOST_BYTES", 2000)
    with served(good, {"BUNDLE_MAX_BODY_BYTES": "2000"}) as port:
        for ask in (parity.ask_binary, parity.ask_json):
            np.testing.assert_allclose(ask(port, "tiny", images), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 4, 1), (8, 8, 1), (224, 224, 3)])
def test_a_piece_in_json_is_no_larger_than_was_reckoned_with(shape):
    images = np.full((3, *shape), 255, dtype=np.uint8)
    assert len(str(images.tolist())) <= images.size * parity._JSON_BYTES


def test_the_small_model_is_served_where_the_configuration_names_it(home, images, monkeypatch):
    monkeypatch.setattr(quantisation, "_verdict", lambda *_arguments: (True, "it is kept"))
    small = deploy(winner_of(home, "small"), home, int8=True) / "model.int8.onnx"
    with served(small.parent, {"BUNDLE_MODEL": small.name}) as port:
        found = parity.ask_binary(port, "tiny", images)
    np.testing.assert_allclose(found, ExportedModel(small).probabilities(images), atol=1e-6)
