"""Reading the body of a request within limits of bytes and time."""

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from .errors import RequestError
from .settings import Settings


@dataclass
class Held:
    """The bytes that bodies take at this moment, of all requests together."""

    bytes: int = 0


async def read_body(scope: MutableMapping[str, Any], receive: Any, settings: Settings, held: Held) -> bytes:
    """The whole body. `scope["held"]` counts what it takes, to be given back when the request has been answered."""
    declared = _content_length(scope)
    if declared is not None and declared > settings.max_body_bytes:
        raise _too_large(settings, f"{declared:,}")
    deadline = asyncio.get_running_loop().time() + settings.request_seconds
    chunks: list[bytes] = []
    total, more = 0, True
    while more:
        message = await _received(receive, settings, deadline)
        chunks.append(message.get("body", b""))
        total += len(chunks[-1])
        if total > settings.max_body_bytes:
            raise _too_large(settings, "more")
        _hold(scope, held, len(chunks[-1]), settings)  # what came, not what is announced: that costs a client nothing
        more = message.get("more_body", False)
    scope["body_is_read"] = True
    return b"".join(chunks)


async def _received(receive: Any, settings: Settings, deadline: float) -> dict[str, Any]:
    try:
        async with asyncio.timeout_at(deadline):
            message: dict[str, Any] = await receive()
    except TimeoutError:
        raise RequestError(
            408, f"the body did not arrive within {settings.request_seconds:g} seconds; send it faster"
        ) from None
    if message["type"] == "http.disconnect":
        raise RequestError(400, "the client left before its request was complete")
    return message


def _content_length(scope: MutableMapping[str, Any]) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None


def _hold(scope: MutableMapping[str, Any], held: Held, count: int, settings: Settings) -> None:
    if held.bytes + count > settings.max_held_bytes:
        raise RequestError(
            503, "too many bytes of other requests are being worked on; try again later", {"retry-after": "1"}
        )
    held.bytes += count
    scope["held"] = scope.get("held", 0) + count


def _too_large(settings: Settings, came: str) -> RequestError:
    return RequestError(413, f"the body has {came} bytes; allowed are {settings.max_body_bytes:,}")
