"""Winners of studies that nobody ran, and what is asked of their bundles' servers."""

import http.client
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_study import make_data, tiny_architecture

from modules.architecture.module import build_module
from modules.data.arrays import open_arrays
from modules.deployment.bundle import Bundle
from modules.deployment.onnx_export import export_onnx
from modules.deployment.winner import Winner
from modules.evaluation.observing import as_batch, observe

LIMITS: dict[str, Any] = {
    "int8": False,
    "int8_margin": 1.0,
    "margin": 0.1,
    "class_margin": 0.1,
    "calibration_margin": 0.2,
    "max_latency_ms": None,
    "max_size_mb": None,
}
INFER = "/v2/models/tiny/infer"


def winner_of(home: Path, study: str) -> Winner:
    """A network of the tiny study: `weak` learned a little, any other more."""
    data = make_data(home)
    arrays = open_arrays(home, data)
    architecture = tiny_architecture(dropout=0.0)
    torch.manual_seed(0)
    network = build_module(architecture)
    _train(network, arrays, updates=4 if study == "weak" else 60)
    outputs = observe(network, arrays.images, arrays.labels, arrays.indices("test"))
    folder = home / "studies" / study / "champion"
    folder.mkdir(parents=True, exist_ok=True)
    outputs.write(folder / "test_outputs.safetensors")
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    export_onnx(architecture, tensors, data.classes, folder / "model.onnx")
    return Winner(
        study=study,
        command="espalier run",
        finished_at=1.0,
        data=data,
        model=folder / "model.onnx",
        test_outputs=folder / "test_outputs.safetensors",
        recipe="r" * 32,
        weights_sha256=study * 2,
        architecture="one convolution",
        params=architecture.params,
        flops=architecture.flops,
        seed=0,
        val_error=0.1,
        test_error=outputs.error,
        latency_ms=0.1,
        seconds=1.0,
        versions={"torch": "2"},
    )


def _train(network: torch.nn.Module, arrays: Any, updates: int) -> None:
    indices = arrays.indices("train")
    images, labels = as_batch(arrays.images[indices]), torch.from_numpy(arrays.labels[indices])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(updates):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()


def deploy(winner: Winner, home: Path, **changes: Any) -> Path:
    return Bundle(**{**LIMITS, **changes}).deploy(winner, home, lambda sentence: None)


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, Any]:
    """Status, body and headers of an answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read(), response.headers


def request(images: np.ndarray, **changes: Any) -> bytes:
    """A V2 request with JSON."""
    tensor = {"name": "images", "shape": list(images.shape), "datatype": "UINT8", "data": images.ravel().tolist()}
    return json.dumps({"inputs": [{**tensor, **changes}]}).encode()


def form(files: Sequence[tuple[str, bytes]]) -> tuple[bytes, str]:
    """A form with files, and its content type."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files
    ]
    return b"".join(parts) + b"--edge--\r\n", "multipart/form-data; boundary=edge"
