"""Nested plain data as the flat texts that MLflow shows as parameters."""

import json
import re
from collections.abc import Mapping
from typing import Any

LONGEST_VALUE = 500  # characters; what MLflow accepts in a database of any kind
LONGEST_NAME = 250
_ODD = re.compile(r"[^\w\-. :/]")  # what MLflow does not take in a name


def flattened(data: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """`{"a": {"b": 1}}` as `{"a.b": "1"}`; lists become one text each, too long ones are cut."""
    flat: dict[str, str] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{name}.")
        else:
            flat[_ODD.sub("_", name)[:LONGEST_NAME]] = cut(_as_text(value), LONGEST_VALUE)
    return flat


def cut(text: str, length: int) -> str:
    """At most `length` characters, an ellipsis where something was left out."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str, sort_keys=True)
