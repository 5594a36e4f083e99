"""A line of JSON for each thing worth knowing, on standard output."""

import contextlib
import os
import time
from typing import Any

import orjson


def log(event: str, **values: Any) -> None:
    """Write a line: when (unix seconds), what, and its values. A closed output is no reason to end."""
    line = orjson.dumps({"time": round(time.time(), 6), "event": event, **values}) + b"\n"
    with contextlib.suppress(OSError):
        os.write(1, line)
