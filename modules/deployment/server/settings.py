"""What config.yaml says. An environment variable BUNDLE_<KEY> wins over the file: BUNDLE_PORT=9000."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from .errors import StartError

_PREFIX = "BUNDLE_"


@dataclass(frozen=True)
class Settings:
    """How a bundle is served."""

    host: str = "127.0.0.1"
    port: int = 8000
    model: str = "model.onnx"
    threads: int = 1  # of the model
    batch_images: int = 64  # of waiting requests that are answered together
    api_key: str = ""  # empty: everybody may ask
    log_requests: bool = True
    max_body_bytes: int = 16 * 2**20
    max_held_bytes: int = 64 * 2**20  # of all requests together
    max_images: int = 1000  # a request
    max_image_pixels: int = 25_000_000
    max_waiting_images: int = 4000
    max_connections: int = 512
    header_seconds: float = 10.0
    request_seconds: float = 30.0
    drain_seconds: float = 5.0


def read_settings(bundle: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a bundle; StartError, one sentence, for a key or a value that is not allowed."""
    path = bundle / "config.yaml"
    try:
        written = (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}
    except yaml.YAMLError:
        raise StartError(f"{path} is no YAML; allowed are lines of KEY: VALUE") from None
    if not isinstance(written, dict):
        raise StartError(f"{path} must hold lines of KEY: VALUE")
    known: dict[str, type[Any]] = {field.name: type(field.default) for field in fields(Settings)}
    values: dict[str, Any] = {}
    for key, value in written.items():
        if key not in known:
            raise StartError(f"{path}: unknown key {key}; allowed are {', '.join(known)}")
        values[key] = _checked(f"{key} in {path}", value, known[key])
    for key, kind in known.items():
        text = environment.get(_PREFIX + key.upper())
        if text is not None:
            values[key] = _checked(_PREFIX + key.upper(), text if kind is str else yaml.safe_load(text), kind)
    return Settings(**values)


def _checked(where: str, value: Any, kind: type[Any]) -> Any:
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is not str and value < 0):
        words = {str: "a text", bool: "true or false", int: "a whole number from 0", float: "a number from 0"}
        shown = "a value" if "api_key" in where.lower() else repr(value)
        raise StartError(f"{where} must be {words[kind]}; got {shown}")
    return value
