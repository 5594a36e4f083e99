"""What config.yaml says. An environment variable BUNDLE_<KEY> wins over the file: BUNDLE_PORT=9000."""

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from .errors import StartError

_PREFIX = "BUNDLE_"


def _number(default: Any, least: float, most: float) -> Any:
    """A setting with the least and the most that is allowed."""
    return field(default=default, metadata={"range": (least, most)})


@dataclass(frozen=True)
class Settings:
    """How a bundle is served."""

    host: str = "127.0.0.1"
    port: int = _number(8000, 0, 65_535)  # 0: any that is free
    model: str = "model.onnx"
    threads: int = _number(1, 0, 1024)  # of the model; 0: as many as there are cores
    batch_images: int = _number(64, 1, 1_000_000)  # of waiting requests that are answered together
    api_key: str = ""  # empty: everybody may ask
    log_requests: bool = True
    max_body_bytes: int = _number(16 * 2**20, 1, 2**40)
    max_held_bytes: int = _number(64 * 2**20, 1, 2**40)  # of all requests together
    max_images: int = _number(1000, 1, 1_000_000)  # a request
    max_image_pixels: int = _number(25_000_000, 1, 2**40)
    max_waiting_images: int = _number(4000, 1, 1_000_000)
    max_connections: int = _number(512, 2, 1_000_000)  # uvicorn refuses the one with this number: 1 would be none
    header_seconds: float = _number(10.0, 0.1, 86_400)
    request_seconds: float = _number(30.0, 0.1, 86_400)
    drain_seconds: float = _number(5.0, 0, 86_400)


def read_settings(bundle: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a bundle; StartError, one sentence, for a key or a value that is not allowed."""
    path = bundle / "config.yaml"
    try:
        written = (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}
    except (yaml.YAMLError, ValueError):  # or no UTF-8
        raise StartError(f"{path} is no YAML; allowed are lines of KEY: VALUE") from None
    if not isinstance(written, dict):
        raise StartError(f"{path} must hold lines of KEY: VALUE")
    known: dict[str, Field[Any]] = {setting.name: setting for setting in fields(Settings)}
    values: dict[str, Any] = {}
    for key, value in written.items():
        if key not in known:
            raise StartError(f"{path}: unknown key {key}; allowed are {', '.join(known)}")
        values[key] = _checked(f"{key} in {path}", value, known[key])
    for key, setting in known.items():
        text = environment.get(_PREFIX + key.upper())
        if text is not None:
            values[key] = _checked(_PREFIX + key.upper(), text if setting.type is str else _value(text), setting)
    return Settings(**values)


def _value(text: str) -> Any:
    """What a text says as YAML; the text itself where it is none."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text


def _checked(where: str, value: Any, setting: "Field[Any]") -> Any:
    kind: Any = setting.type
    limits = setting.metadata.get("range")  # of numbers alone
    fits = type(value) is kind or (kind is float and type(value) is int)
    if not fits or (limits and not limits[0] <= value <= limits[1]):
        words = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}[kind]
        allowed = f"{words} from {limits[0]:,} to {limits[1]:,}" if limits else words
        shown = "a value" if "api_key" in where.lower() else repr(value)
        raise StartError(f"{where} must be {allowed}; got {shown}")
    return kind(value)
