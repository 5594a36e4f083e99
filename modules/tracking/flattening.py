"""Nested plain data as the flat texts that MLflow shows as parameters."""

from collections.abc import Mapping
from typing import Any

LONGEST_VALUE = 500  # characters; what MLflow accepts in a database of any kind
LONGEST_NAME = 250


def flattened(data: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """`{"a": {"b": 1}}` as `{"a.b": "1"}`; lists become one text each, too long ones are cut."""
    raise NotImplementedError
