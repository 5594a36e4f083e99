"""How many requests a second does a bundle answer, and how long does each take? Against `mlflow models serve`.

    python -m benchmarks.serving --full

One image of 28 x 28 a request, from 1, 8 and 64 clients over kept connections; the load generator runs beside the
servers on the same cores, and what it takes of one core is printed. Both serve the same ONNX model, the first network
for MNIST with weights that mean nothing. Two minutes, ten with --full. `--litserve-python PYTHON`: LitServe too, from
an environment with litserve, onnxruntime and numpy.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from benchmarks.load import Measured, measure, request_of
from benchmarks.made_bundle import made_bundle
from benchmarks.rows import Row, print_rows
from modules.deployment.serving import served
from modules.tracking.registry import RegisteredBundle, save_model

CLIENTS = (1, 8, 64)
IMAGE = np.random.default_rng(0).integers(0, 256, (1, 28, 28, 1), dtype=np.uint8)
_LITSERVE = """
import sys, numpy as np, onnxruntime, litserve
class Api(litserve.LitAPI):
    def setup(self, device):
        self.session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    def decode_request(self, request): return np.asarray(request["data"], dtype=np.uint8).reshape(1, 28, 28, 1)
    def predict(self, images): return self.session.run(None, {"images": images})[0]
    def encode_response(self, output): return {"probabilities": output.tolist()}
if __name__ == "__main__":
    litserve.LitServer(Api(), accelerator="cpu").run(port=int(sys.argv[2]), generate_client_file=False)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--litserve-python", type=Path)
    arguments = parser.parse_args()
    seconds = 20.0 if arguments.full else 4.0
    with tempfile.TemporaryDirectory() as folder:
        bundle = made_bundle(Path(folder))
        measured: dict[str, dict[int, Measured]] = {"JSON": {}, "raw binary": {}, "mlflow": {}}
        with served(bundle) as port:
            for clients in CLIENTS:
                measured["JSON"][clients] = measure(port, _json(), clients, seconds)
                measured["raw binary"][clients] = measure(port, _binary(), clients, seconds)
        with _mlflow(bundle, Path(folder)) as port:
            for clients in CLIENTS:
                measured["mlflow"][clients] = measure(port, _of_mlflow(), clients, seconds)
        if arguments.litserve_python:
            measured["LitServe"] = {}
            with _litserve(arguments.litserve_python, bundle) as port:
                for clients in CLIENTS:
                    measured["LitServe"][clients] = measure(port, _of_litserve(), clients, seconds)
    print_rows(list(_rows(measured)))


def _rows(measured: dict[str, dict[int, Measured]]) -> Iterator[Row]:
    for name, wanted in (("JSON", 2.5), ("raw binary", 5.0)):
        for clients in CLIENTS:
            ours, theirs = measured[name][clients], measured["mlflow"][clients]
            ratio = ours.requests_per_second / theirs.requests_per_second
            yield Row(
                figure=f"a bundle's server with {name} against `mlflow models serve`, {clients} clients",
                target=f"≥ {wanted}×" + (", p99 < 25 ms" if clients == 8 else ""),
                value=ratio,
                shown=f"{ratio:.1f}×: {_words(ours)}; MLflow {_words(theirs)}",
                met=ratio >= wanted and (clients != 8 or ours.p99_ms < 25) and not ours.failed,
                seeds="–",
                details={"ours": vars(ours), "mlflow": vars(theirs)},
            )
    for clients, one in measured.get("LitServe", {}).items():
        shown = f"LitServe, {clients} clients, JSON"
        yield Row(shown, "for the record", one.requests_per_second, _words(one), True, "–", vars(one))


def _words(one: Measured) -> str:
    return (
        f"{one.requests_per_second:,.0f} a second, p50 {one.p50_ms:.1f} ms, p99 {one.p99_ms:.1f} ms"
        f" (generator {one.generator_share:.0%} of a core{f', {one.failed} failed' if one.failed else ''})"
    )


def _json() -> bytes:
    tensor = {"name": "images", "shape": list(IMAGE.shape), "datatype": "UINT8", "data": IMAGE.ravel().tolist()}
    return request_of("/v2/models/mnist/infer", json.dumps({"inputs": [tensor]}).encode(), {})


def _binary() -> bytes:
    return request_of("/v2/models/mnist/infer", IMAGE.tobytes(), {"inference-header-content-length": "0"})


def _of_mlflow() -> bytes:
    body = json.dumps({"inputs": {"images": IMAGE.tolist()}}).encode()
    return request_of("/invocations", body, {"content-type": "application/json"})


def _of_litserve() -> bytes:
    body = json.dumps({"data": IMAGE.ravel().tolist()}).encode()
    return request_of("/predict", body, {"content-type": "application/json"})


@contextmanager
def _mlflow(bundle: Path, folder: Path) -> Iterator[int]:
    saved = folder / "mlflow-model"
    registered = RegisteredBundle(
        model="mnist",
        version="1",
        model_file=bundle / "model.onnx",
        image_shape=(28, 28, 1),
        num_classes=10,
        description="",
    )
    save_model(registered, saved)
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(saved), "--env-manager", "local"]
    with _process(lambda port: [*command, "--port", str(port), "--workers", "1"], "/ping") as port:
        yield port


@contextmanager
def _litserve(python: Path, bundle: Path) -> Iterator[int]:
    model, script = str(bundle / "model.onnx"), bundle.parent / "litserve_model.py"
    script.write_text(_LITSERVE)  # a file, as its workers import it again
    with _process(lambda port: [str(python), str(script), model, str(port)], "/health") as port:
        yield port


@contextmanager
def _process(command: Callable[[int], list[str]], health: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    programs = str(Path(sys.executable).parent)  # MLflow starts uvicorn by its name
    environment = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
    }
    process = subprocess.Popen(
        command(port),
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not _answers(f"http://127.0.0.1:{port}{health}"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"did not start: {' '.join(command(port))[:200]}")
            time.sleep(0.2)
        yield port
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False


if __name__ == "__main__":
    main()
