"""The chain from PyTorch to the answer over HTTP: the same class and the same probabilities for every test image."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modules.deployment.inference import ExportedModel
from modules.deployment.manifest import Parity
from modules.deployment.server.settings import Settings
from modules.deployment.serving import served
from modules.errors import DeploymentError

REVISION = 1

TOLERANCE = 1e-4  # of a probability
_BATCH = 200
_JSON_IMAGES = 64
_MOST_BYTES = Settings.max_body_bytes  # of a request
_JSON_BYTES = 8  # of a value at most: `[255], `, and the brackets of rows and images


def check_parity(bundle: Path, model: str, images: NDArray[np.uint8], reference: NDArray[np.float32]) -> Parity:
    """Ask the model itself and the bundle's server; DeploymentError where one differs from PyTorch (`reference`)."""
    onnx = differences("ONNX", ExportedModel(bundle / "model.onnx").probabilities(images), reference)
    some = min(_JSON_IMAGES, len(images))
    with served(bundle) as port:
        http_binary = differences("HTTP", ask_binary(port, model, images), reference)
        http_json = differences("HTTP with JSON", ask_json(port, model, images[:some]), reference[:some])
    return Parity(images=len(images), onnx=onnx, http=http_binary, json_images=some, http_json=http_json)


def differences(what: str, found: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """The largest difference of a probability; DeploymentError where it is too large, or a class is another one."""
    apart = np.abs(found - reference).max(axis=1)
    worst = int(apart.argmax())
    if not apart[worst] <= TOLERANCE:  # also where it is no number
        raise DeploymentError(
            f"{what} differs from PyTorch by {apart[worst]:.2g} in a probability of test image {worst}; allowed is "
            f"{TOLERANCE:g}"
        )
    others = np.flatnonzero(found.argmax(1) != reference.argmax(1))
    if len(others):
        ours, theirs = found[others[0]].argmax(), reference[others[0]].argmax()
        raise DeploymentError(
            f"{what} gives test image {others[0]} class {ours}, PyTorch class {theirs}; allowed is the same class "
            f"everywhere ({len(others)} images differ)"
        )
    return float(apart[worst])


def ask_binary(port: int, model: str, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The probabilities (N, classes) as the server gives them, with tensors as bytes."""
    answers = []
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for batch in _batches(images):
            head, body = _answer(connection, model, batch.tobytes(), {"inference-header-content-length": "0"})
            outputs = np.frombuffer(body, dtype="<f4", offset=head)
            answers.append(outputs.reshape(len(batch), -1))
    return np.concatenate(answers)


def ask_json(port: int, model: str, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The same with JSON, nested as the shape says."""
    answers = []
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for batch in _batches(images, _JSON_BYTES):
            tensor = {"name": "images", "shape": batch.shape, "datatype": "UINT8", "data": batch.tolist()}
            _, body = _answer(connection, model, json.dumps({"inputs": [tensor]}).encode(), {})
            (output,) = json.loads(body)["outputs"]
            answers.append(np.asarray(output["data"], dtype=np.float32).reshape(output["shape"]))
    return np.concatenate(answers)


def _answer(
    connection: http.client.HTTPConnection, model: str, body: bytes, headers: dict[str, str]
) -> tuple[int, bytes]:
    connection.request("POST", f"/v2/models/{model}/infer", body, headers)
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise DeploymentError(
            f"the bundle's server answered {response.status}: {content[:200].decode(errors='replace')}"
        )
    return int(response.getheader("inference-header-content-length") or 0), content


def _batches(images: NDArray[np.uint8], bytes_a_value: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Pieces of which the server takes each in one request."""
    size = min(_BATCH, max(1, _MOST_BYTES // (bytes_a_value * images[0].size)))
    for start in range(0, len(images), size):
        yield images[start : start + size]
