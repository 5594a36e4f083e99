"""The contract of this bundle: `python -m unittest discover tests`, in an environment with its requirements alone."""

import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

BUNDLE = Path(__file__).resolve().parent.parent
MANIFEST = json.loads((BUNDLE / "bundle.json").read_text())
EXPECTED = json.loads((BUNDLE / "tests" / "expected.json").read_text())  # answers for made-up images
IMAGES = base64.b64decode(EXPECTED["images"])
SHAPE = EXPECTED["shape"]
TOLERANCE = 1e-4
INFER = f"/v2/models/{MANIFEST['model']}/infer"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(bundle: Path, **settings: str) -> "tuple[subprocess.Popen, int]":
    port = free_port()
    environment = {**os.environ, "BUNDLE_PORT": str(port), "BUNDLE_LOG_REQUESTS": "false", **settings}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, str(bundle / "serve.py")], env=environment, **pipes), port


class Contract(unittest.TestCase):
    """What a client may rely on."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.process, cls.port = start(BUNDLE)
        for _ in range(200):
            try:
                if cls.ask("GET", "/v2/health/ready")[0] == 200:
                    return
            except ConnectionError:
                time.sleep(0.05)
        cls.process.kill()
        raise AssertionError(cls.process.communicate()[1].decode())

    @classmethod
    def tearDownClass(cls) -> None:
        cls.process.send_signal(signal.SIGTERM)
        cls.process.communicate(timeout=20)
        assert cls.process.returncode == 0, "the server did not end gracefully"

    @classmethod
    def ask(cls, method: str, path: str, body: "bytes | None" = None, **headers: str) -> tuple:
        connection = http.client.HTTPConnection("127.0.0.1", cls.port, timeout=20)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, content, response.headers

    def request(self, **changes: object) -> bytes:
        tensor = {"name": "images", "shape": SHAPE, "datatype": "UINT8", "data": list(IMAGES), **changes}
        return json.dumps({"id": "a", "inputs": [tensor]}).encode()

    def check(self, found: list) -> None:
        self.assertEqual(len(found), len(EXPECTED["probabilities"]))
        for one, other in zip(found, EXPECTED["probabilities"]):
            self.assertLessEqual(abs(one - other), TOLERANCE)

    def test_json(self) -> None:
        status, content, _ = self.ask("POST", INFER, self.request())
        answer = json.loads(content)
        self.assertEqual((status, answer["id"]), (200, "a"))
        self.assertEqual(answer["model_version"], MANIFEST["version"])
        self.assertEqual(answer["outputs"][0]["shape"], [SHAPE[0], len(MANIFEST["classes"])])
        self.check(answer["outputs"][0]["data"])

    def test_binary(self) -> None:
        tensor = {
            "name": "images",
            "shape": SHAPE,
            "datatype": "UINT8",
            "parameters": {"binary_data_size": len(IMAGES)},
        }
        head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        status, content, headers = self.ask(
            "POST", INFER, head + IMAGES, inference_header_content_length=str(len(head))
        )
        self.assertEqual(status, 200)
        self.check(list(memoryview(content[int(headers["inference-header-content-length"]) :]).cast("f")))

    def test_pixels_alone(self) -> None:
        status, content, headers = self.ask("POST", INFER, IMAGES, inference_header_content_length="0")
        self.assertEqual(status, 200)
        self.check(list(memoryview(content[int(headers["inference-header-content-length"]) :]).cast("f")))

    def test_metadata(self) -> None:
        answer = json.loads(self.ask("GET", f"/v2/models/{MANIFEST['model']}")[1])
        self.assertEqual(answer["parameters"]["classes"], MANIFEST["classes"])
        self.assertEqual(answer["inputs"][0]["shape"], [-1, *SHAPE[1:]])

    def test_metrics_count(self) -> None:
        self.ask("POST", INFER, self.request())
        self.assertIn(f'route="{INFER}",status="200"', self.ask("GET", "/metrics")[1].decode())

    def test_refusals(self) -> None:
        for expected, body in (
            (400, b"{"),
            (400, b""),
            (400, self.request(shape=[1, 2, 3, 4])),
            (400, self.request(datatype="FP32")),
            (400, self.request(data=[256] * len(IMAGES))),
            (413, self.request(shape=[100_000, *SHAPE[1:]])),
        ):
            status, content, _ = self.ask("POST", INFER, body)
            self.assertEqual(status, expected, content)
            self.assertTrue(json.loads(content)["error"])
        self.assertEqual(self.ask("POST", "/predict", b"no image", content_type="image/png")[0], 415)
        self.assertEqual(self.ask("GET", "/nothing")[0], 404)
        self.assertEqual(self.ask("POST", INFER, self.request())[0], 200)

    def test_an_altered_bundle_does_not_start(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(shutil.copytree(BUNDLE, Path(folder) / "bundle", ignore=shutil.ignore_patterns(".venv")))
            with (copy / "model.onnx").open("ab") as file:
                file.write(b"\0")
            process, _ = start(copy)
            _, errors = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 2)
            self.assertIn(b"was altered: model.onnx", errors)


if __name__ == "__main__":
    unittest.main()
