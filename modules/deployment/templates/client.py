"""Ask a server of this bundle: `python client.py http://127.0.0.1:8000 a.png b.jpg`. Needs the standard library alone.

A program that asks often sends tensors instead, at best as bytes: see `classify_tensor`.
"""

import json
import mimetypes
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path


def classify_file(server: str, path: Path) -> dict:
    """The prediction for an image file: its class, and the probability of each."""
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return _ask(f"{server}/predict", path.read_bytes(), {"content-type": kind})["predictions"][0]


def classify_tensor(server: str, model: str, pixels: bytes) -> list:
    """The probabilities, one after the other, for images of the model's size: a byte a pixel and channel, row by row.

    The V2 protocol's binary form with an empty head; the answer is JSON, with the numbers behind it as float32.
    """
    request = urllib.request.Request(
        f"{server}/v2/models/{model}/infer", pixels, {"inference-header-content-length": "0", **_key()}
    )
    with urllib.request.urlopen(request) as response:
        body = response.read()
        head = int(response.headers["inference-header-content-length"])
    return list(memoryview(body[head:]).cast("f"))


def _ask(address: str, body: bytes, headers: dict) -> dict:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, {**headers, **_key()})) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        sys.exit(f"refused ({error.code}): {json.load(error)['error']}")


def _key() -> dict:
    return {"x-api-key": os.environ["API_KEY"]} if "API_KEY" in os.environ else {}


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python client.py SERVER FILE...")
    for name in sys.argv[2:]:
        answer = classify_file(sys.argv[1], Path(name))
        print(f"{name}: {answer['class']} ({answer['probability']:.1%})")
