"""A bundle's server as its clients see it: a process of its own, asked over HTTP."""

import http.client
import io
import json
import socket
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from deployed import INFER, ask, form, request
from PIL import Image

from modules.deployment.bundles import load
from modules.deployment.serving import served


def png(image) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def floats(body, headers):
    return np.frombuffer(body[int(headers["inference-header-content-length"]) :], "<f4")


@pytest.fixture(autouse=True)
def the_next_request_is_served(port, images, good):
    """Whatever a test did to the server."""
    yield
    status, body, headers = ask(port, "POST", INFER, images.tobytes(), inference_header_content_length="0")
    assert status == 200
    expected = load(good).predict(images).probabilities
    np.testing.assert_allclose(floats(body, headers).reshape(5, 3), expected, atol=1e-6)


def sentence(answer) -> str:
    status, body, headers = answer
    assert headers["content-type"] == "application/json"
    content = json.loads(body)
    assert set(content) == {"error"}
    assert "\n" not in content["error"]
    return f"{status} {content['error']}"


def test_json_and_files_give_what_the_model_gives(port, images, good):
    expected = load(good).predict(images)
    _, body, _ = ask(port, "POST", INFER, request(images))
    (output,) = json.loads(body)["outputs"]
    np.testing.assert_allclose(np.reshape(output["data"], (5, 3)), expected.probabilities, atol=1e-6)
    files, of_form = form([(f"{place}.png", png(image[..., 0])) for place, image in enumerate(images)])
    for body, kind in ((files, of_form), (png(images[0, ..., 0]), "image/png")):
        status, answer, _ = ask(port, "POST", "/predict", body, content_type=kind)
        assert status == 200
        for place, found in enumerate(json.loads(answer)["predictions"]):
            assert found["class"] == expected.classes[place]
            np.testing.assert_allclose(list(found["probabilities"].values()), expected.probabilities[place], atol=1e-6)


def test_a_form_is_one_question_to_the_model(port, images):
    def calls() -> int:
        lines = ask(port, "GET", "/metrics")[1].decode().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("model_batch_images_count ")))

    files, kind = form([(f"{place}.png", png(image[..., 0])) for place, image in enumerate(images)])
    before = calls()
    assert ask(port, "POST", "/predict", files, content_type=kind)[0] == 200
    assert calls() == before + 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2", 200),
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/health/ready", 200),
        ("GET", "/v2/models/tiny", 200),
        ("GET", "/v2/models/tiny/ready", 200),
        ("GET", "/", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/v2/models/other", 404),
        ("GET", INFER, 405),
        ("GET", "/docs", 404),
    ],
)
def test_addresses(port, method, path, status):
    assert ask(port, method, path)[0] == status


def test_what_is_no_request(port, images):
    for body, said in (
        (b"", "400 the body is no JSON"),
        (b'{"inputs": ', "400 the body is no JSON"),
        (b"\xff\xfe", "400 the body is no JSON"),
        (b"[" * 100_000, "400 the body is no JSON"),
        (request(images, shape=[5, 9, 9, 1]), "400 the shape is"),
        (request(images, shape=[10_000, 8, 8, 1]), "413 there are 10000 images; allowed are 100"),
    ):
        assert sentence(ask(port, "POST", INFER, body)).startswith(said)
    pixels = np.zeros((101, 8, 8, 1), np.uint8).tobytes()
    assert "413 there are 101 images" in sentence(ask(port, "POST", INFER, pixels, inference_header_content_length="0"))


def test_uploads_that_are_no_images(port, images):
    good = png(images[0, ..., 0])
    many, kind = form([("a.png", good)] * 101)
    none, _ = form([])
    for body, content_type, said in (
        (b"text", "image/png", "415 the image is no image"),
        (good, "text/plain", "415 the content type is 'text/plain'"),
        (png(np.zeros((1, 1), np.uint8)), "image/png", "400 the image has 1 x 1 pixels"),
        (many, kind, "413 there are too many files; allowed are 100"),
        (none, kind, "400 the form"),
        (good, "multipart/form-data", "400 the form cannot be read"),
        (form([("a.png", good), ("b.png", b"x")])[0], kind, "415 b.png is no image"),
    ):
        assert said in sentence(ask(port, "POST", "/predict", body, content_type=content_type))
    bomb = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(bomb, "PNG")
    assert "413 the image has" in sentence(ask(port, "POST", "/predict", bomb.getvalue(), content_type="image/png"))


def everything(client):
    """What the server sends until it closes the connection."""
    return b"".join(iter(lambda: client.recv(4096), b""))


def test_a_body_that_is_too_long_is_refused_before_it_is_sent(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\n\r\n")
        answer = everything(client)
    assert b"413" in answer
    assert b"allowed are 200,000" in answer


def test_a_body_without_end_is_refused(port):
    def pieces():
        while True:
            yield b"x" * 65536

    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        with pytest.raises(ConnectionError):
            connection.request("POST", "/predict", pieces(), {"content-type": "image/png"}, encode_chunked=True)
        assert connection.getresponse().status == 413


def test_a_slow_body_is_refused(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nx")
        answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"did not arrive within 1 seconds" in answer


def test_a_slow_head_is_cut_off(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost:")
        started = time.monotonic()
        assert client.recv(4096) == b""
        assert time.monotonic() - started < 8


def test_a_head_without_end_is_cut_off(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):  # noqa: PT012
            for number in range(10_000):
                client.sendall(b"x-%d: %s\r\n" % (number, b"y" * 100))
                time.sleep(0.0005)


def test_nonsense_instead_of_http(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 400")


def test_many_clients_at_once_each_get_their_own(port, good):
    images = np.random.default_rng(3).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    expected = load(good).predict(images).probabilities
    found: dict[int, np.ndarray] = {}

    def one(place: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            for turn in range(place, 40, 8):
                head = {"inference-header-content-length": "0"}
                connection.request("POST", INFER, images[turn].tobytes(), head)
                response = connection.getresponse()
                found[turn] = floats(response.read(), response.headers)

    clients = [threading.Thread(target=one, args=(place,)) for place in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    np.testing.assert_allclose(np.stack([found[place] for place in range(40)]), expected, atol=1e-6)


def test_a_key_is_asked_for_where_one_is_set(good, images):
    with served(good, {"BUNDLE_API_KEY": "secret"}) as port:
        for headers in ({}, {"x_api_key": "wrong"}, {"authorization": "Bearer wrong"}, {"x_api_key": "secre"}):
            answer = ask(port, "POST", INFER, request(images), **headers)
            assert "401 the API key is missing or wrong" in sentence(answer)
        for headers in ({"x_api_key": "secret"}, {"authorization": "Bearer secret"}):
            assert ask(port, "POST", INFER, request(images), **headers)[0] == 200
        assert ask(port, "GET", "/v2/health/ready")[0] == 200


def test_bad_input_does_not_fill_the_memory(good, images):
    pixels = np.zeros((1000, 8, 8, 1), np.uint8)
    with served(good) as port:

        def resident() -> float:
            lines = ask(port, "GET", "/metrics")[1].decode().splitlines()
            return next(float(line.split()[1]) for line in lines if line.startswith("process_resident_memory_bytes "))

        ask(port, "POST", INFER, request(pixels))
        before = resident()
        for _ in range(10):
            assert ask(port, "POST", INFER, request(pixels))[0] == 200
            assert ask(port, "POST", INFER, request(pixels, shape=[10**6, 8, 8, 1]))[0] == 413
        assert resident() - before < 60e6


def test_a_server_that_cannot_start_says_why(good, tmp_path):
    import shutil
    import subprocess
    import sys

    copy = Path(shutil.copytree(good, tmp_path / "copy"))
    with (copy / "model.onnx").open("ab") as file:
        file.write(b"\0")
    altered = subprocess.run([sys.executable, str(copy / "serve.py")], capture_output=True, text=True, timeout=60)
    assert altered.returncode == 2
    assert altered.stderr.startswith("bundle: bundle ")
    assert "was altered: model.onnx" in altered.stderr
    assert altered.stderr.count("\n") == 1
    with socket.create_server(("127.0.0.1", 0)) as taken:
        import os

        environment = {**os.environ, "BUNDLE_PORT": str(taken.getsockname()[1])}
        command = [sys.executable, str(good / "serve.py")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 2
    assert "cannot listen on 127.0.0.1" in done.stderr
    assert "BUNDLE_PORT" in done.stderr
