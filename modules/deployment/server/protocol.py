"""The V2 inference protocol (https://github.com/kserve/open-inference-protocol) with its binary tensor extension."""

from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import orjson

from .errors import RequestError
from .model import INPUT, OUTPUT

HEADER_LENGTH = "inference-header-content-length"
_MOST_OBJECTS = 100  # in JSON; a request has six
_EXAMPLE = f'{{"inputs": [{{"name": "{INPUT}", "shape": [1, …], "datatype": "UINT8", "data": […]}}]}}'


class Inference(NamedTuple):
    """What is asked: `images` uint8 (N, height, width, channels), and how the answer is to be sent."""

    images: Any
    request_id: str | None
    is_binary: bool  # the answer's tensor as bytes behind the JSON


def read_inference(
    body: bytes, header_length: str | None, image_shape: tuple[int, int, int], max_images: int
) -> Inference:
    """Take a request apart; RequestError, one sentence, for anything else."""
    if header_length is None:
        return _from_json(body, b"", image_shape, max_images)
    if not header_length.isascii() or not header_length.isdigit() or int(header_length) > len(body):
        raise RequestError(
            400, f"Inference-Header-Content-Length is {header_length[:20]!r}; allowed is up to {len(body)}, the body's"
        )
    end = int(header_length)
    if end == 0:  # nothing but pixels
        return Inference(_from_bytes(body, None, image_shape, max_images), None, True)
    return _from_json(body[:end], body[end:], image_shape, max_images)


def _from_json(header: bytes, binary: bytes, image_shape: tuple[int, int, int], max_images: int) -> Inference:
    objects = header.count(b"{")
    if objects > _MOST_OBJECTS:  # before they are made: each takes twenty times its bytes
        raise RequestError(400, f"the JSON has {objects:,} objects; allowed are {_MOST_OBJECTS}, as in {_EXAMPLE}")
    try:
        request = orjson.loads(header)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"the body is no JSON ({error}); allowed is {_EXAMPLE}") from None
    tensor = _tensor(request)
    if tensor.get("name") != INPUT or tensor.get("datatype") != "UINT8":
        came = f"{tensor.get('name')!r:.40} of {tensor.get('datatype')!r:.20}"
        raise RequestError(400, f"the input is {came}; allowed is {INPUT!r} of 'UINT8'")
    shape = _checked_shape(tensor.get("shape"), image_shape, max_images)
    parameters = _mapping(tensor.get("parameters"), "parameters of the input")
    size = parameters.get("binary_data_size")
    if size is not None:
        if size != len(binary):
            raise RequestError(400, f"binary_data_size is {size!r:.20}, but {len(binary)} bytes follow the JSON")
        images = _from_bytes(binary, shape, image_shape, max_images)
    else:
        images = _from_list(tensor.get("data"), shape, header)
    request_id = request.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise RequestError(400, "id must be a text")
    return Inference(images, request_id, _wants_binary(request))


def _tensor(request: Any) -> dict[str, Any]:
    inputs = request.get("inputs") if isinstance(request, dict) else None
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestError(400, f"the request has not exactly one input; allowed is {_EXAMPLE}")
    return inputs[0]


def _checked_shape(shape: Any, image_shape: tuple[int, int, int], max_images: int) -> tuple[int, ...]:
    allowed = f"[N, {', '.join(map(str, image_shape))}]"
    if not isinstance(shape, list) or len(shape) != 4 or not all(type(side) is int for side in shape):
        raise RequestError(400, f"the shape is {shape!r:.60}; allowed is {allowed}")
    if tuple(shape[1:]) != image_shape or shape[0] < 1:
        raise RequestError(400, f"the shape is {shape!r:.60}; allowed is {allowed} with N from 1 to {max_images}")
    if shape[0] > max_images:
        raise RequestError(413, f"there are {shape[0]} images; allowed are {max_images} a request")
    return tuple(shape)


def _from_bytes(
    content: bytes, shape: tuple[int, ...] | None, image_shape: tuple[int, int, int], max_images: int
) -> Any:
    size = image_shape[0] * image_shape[1] * image_shape[2]
    count, rest = divmod(len(content), size)
    if rest or not count or (shape is not None and count != shape[0]):
        wanted = f"{shape[0]} times {size}" if shape else f"a multiple of {size}"
        raise RequestError(
            400, f"the images have {len(content)} bytes; allowed is {wanted}, a byte a pixel and channel"
        )
    _checked_shape([count, *image_shape], image_shape, max_images)
    return np.frombuffer(content, dtype=np.uint8).reshape(count, *image_shape)


def _from_list(data: Any, shape: tuple[int, ...], text: bytes) -> Any:
    """Numbers flat or nested as the shape says. `bytes` checks each of them, and is fast."""
    if not isinstance(data, list):
        raise RequestError(400, f"data must be a list of pixels, or binary_data_size must be given; got {data!r:.20}")
    try:
        flat = data
        for side in shape[1:] if data and isinstance(data[0], list) else ():
            if any(len(row) != side for row in flat):
                raise TypeError
            flat = list(chain.from_iterable(flat))
        pixels = bytes(flat)
        if (b"true" in text or b"false" in text) and any(type(pixel) is bool for pixel in flat):
            raise TypeError
    except (TypeError, ValueError):
        raise RequestError(400, f"data must be whole numbers from 0 to 255, in the shape {list(shape)}") from None
    if len(pixels) != shape[0] * shape[1] * shape[2] * shape[3]:
        raise RequestError(400, f"data has {len(pixels)} numbers, which do not fill the shape {list(shape)}")
    return np.frombuffer(pixels, dtype=np.uint8).reshape(shape)


def _wants_binary(request: dict[str, Any]) -> bool:
    outputs = request.get("outputs")
    if outputs is None:
        return bool(_mapping(request.get("parameters"), "parameters").get("binary_data_output", False))
    if not isinstance(outputs, list) or len(outputs) != 1 or not isinstance(outputs[0], dict):
        raise RequestError(400, f"outputs must be a list of one: {OUTPUT!r}")
    if outputs[0].get("name") != OUTPUT:
        raise RequestError(400, f"the output is {outputs[0].get('name')!r:.40}; allowed is {OUTPUT!r}")
    return bool(_mapping(outputs[0].get("parameters"), "parameters of the output").get("binary_data", False))


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError(400, f"{what} must be an object; got {value!r:.20}")
    return value


def answer(inference: Inference, probabilities: Any, model: str, version: str) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of the answer."""
    tensor: dict[str, Any] = {"name": OUTPUT, "datatype": "FP32", "shape": list(probabilities.shape)}
    content = {"model_name": model, "model_version": version, "outputs": [tensor]}
    if inference.request_id is not None:
        content["id"] = inference.request_id
    if not inference.is_binary:
        tensor["data"] = np.ascontiguousarray(probabilities).reshape(-1)
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), {"content-type": "application/json"}
    binary = probabilities.tobytes()
    tensor["parameters"] = {"binary_data_size": len(binary)}
    header = orjson.dumps(content)
    return header + binary, {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(header))}
