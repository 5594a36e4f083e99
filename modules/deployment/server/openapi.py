"""What the OpenAPI description says of each address, beyond its path."""

from typing import Any

from .model import INPUT, OUTPUT, Model
from .settings import Settings

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
    "additionalProperties": False,
}
_SENTENCES = {
    400: "the request is not as described",
    401: "the API key is missing or wrong",
    408: "the body came too slowly",
    413: "too many bytes, pixels or images",
    415: "not an image, or not a type of content that is taken",
    503: "too much to do; try again later",
}


def described(path: str, method: str, name: str, model: Model, settings: Settings) -> dict[str, Any]:
    """The arguments of FastAPI's add_api_route that describe an address."""
    schema = _answers(model).get(path.rpartition("/")[2], {"type": "object"})
    media = {"/": "text/html", "/metrics": "text/plain"}.get(path, "application/json")
    codes = (400, 401, 408, 413, 415, 503) if method == "POST" else (401, 503)
    responses: dict[int | str, Any] = {
        code: {"description": _SENTENCES[code], "content": {"application/json": {"schema": _ERROR}}} for code in codes
    }
    content: dict[str, Any] = {media: {"schema": {"type": "string"} if media.startswith("text") else schema}}
    if path.endswith("/infer"):
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    responses[200] = {"description": "the answer", "content": content}
    extra = {"requestBody": _body(path, model, settings)} if method == "POST" else {}
    return {
        "responses": responses,
        "openapi_extra": extra,
        "response_model": None,
        "operation_id": f"{method.lower()}{path.replace('/', '_')}",
    }


def _body(path: str, model: Model, settings: Settings) -> dict[str, Any]:
    file = {"schema": {"type": "string", "format": "binary"}}
    if path == "/predict":
        form = {"schema": {"type": "object", "properties": {"files": {"type": "array", "items": file["schema"]}}}}
        return {"required": True, "content": {"multipart/form-data": form, "image/png": file, "image/jpeg": file}}
    return {"required": True, "content": {"application/json": {"schema": _request(model, settings)}}}


def _request(model: Model, settings: Settings) -> dict[str, Any]:
    flag = {"type": "object", "properties": {"binary_data": {"type": "boolean"}}}
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"const": INPUT},
            "shape": {
                "type": "array",
                "prefixItems": [
                    {"type": "integer", "minimum": 1, "maximum": settings.max_images},
                    *({"const": side} for side in model.image_shape),
                ],
                "minItems": 4,
                "maxItems": 4,
            },
            "datatype": {"const": "UINT8"},
            "data": {
                "type": "array",
                "description": "pixels from 0 to 255, flat or nested as the shape says",
                "minItems": 1,
            },
            "parameters": {"type": "object"},
        },
    }
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "inputs": {"type": "array", "items": tensor, "minItems": 1, "maxItems": 1},
            "parameters": {"type": "object", "properties": {"binary_data_output": {"type": "boolean"}}},
            "outputs": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1,
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"const": OUTPUT}, "parameters": flag},
                },
            },
        },
    }


def _answers(model: Model) -> dict[str, dict[str, Any]]:
    """The schema of an answer by the last word of its address."""
    text, number = {"type": "string"}, {"type": "number"}
    probability = {"type": "number", "minimum": 0, "maximum": 1.0001}
    output = {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": OUTPUT},
            "datatype": {"const": "FP32"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "data": {"type": "array", "items": number},
        },
    }
    named = {"model_name": text, "model_version": text}
    prediction = {
        "type": "object",
        "required": ["file", "class", "probability", "probabilities"],
        "properties": {
            "file": text,
            "class": {"enum": model.classes},
            "probability": probability,
            "probabilities": {"type": "object", "additionalProperties": probability},
        },
    }
    return {
        "infer": _object({**named, "outputs": {"type": "array", "items": output}}, {"id": text}),
        "predict": _object({**named, "predictions": {"type": "array", "items": prediction}}),
        "live": _object({"live": {"const": True}}),
        "ready": _object({"ready": {"const": True}}),
    }


def _object(properties: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": {**properties, **(optional or {})}}
