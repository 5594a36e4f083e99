"""The answer to a request that is refused, or that failed."""

import asyncio
import traceback
from contextlib import suppress
from typing import Any

import orjson

from .errors import RequestError
from .logs import log

_READ_ON_SECONDS, _READ_ON_BYTES = 1.0, 2**24  # of a refused body: a client that still sends would not read why


class Refusal:
    """An ASGI application that says why; a fault of ours is logged and not shown."""

    def __init__(self, error: Exception) -> None:
        self._error = _explained(error)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Send the sentence. Where a body is still under way, read on for a moment and then close."""
        body = orjson.dumps({"error": self._error.sentence})
        headers = {"content-type": "application/json", "content-length": str(len(body)), **self._error.headers}
        is_read = scope.get("body_is_read") or not _has_body(scope)
        if not is_read:
            headers["connection"] = "close"
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self._error.status, "headers": encoded})
        await send({"type": "http.response.body", "body": body, "more_body": not is_read})
        if not is_read:
            with suppress(TimeoutError):
                async with asyncio.timeout(_READ_ON_SECONDS):
                    await _read_on(receive)
            await send({"type": "http.response.body", "body": b""})


def _explained(error: Exception) -> RequestError:
    if isinstance(error, RequestError):
        return error
    if isinstance(error, TimeoutError):
        return RequestError(503, "the answer took too long; try again later", {"retry-after": "1"})
    log("fault", kind=type(error).__name__, message=str(error), traceback="".join(traceback.format_exception(error)))
    return RequestError(500, "a fault of the server; its log says more")


def _has_body(scope: dict[str, Any]) -> bool:
    headers = dict(scope["headers"])
    if headers.get(b"expect", b"").lower() == b"100-continue":  # the client waits for a word and has sent nothing
        return False
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


async def _read_on(receive: Any) -> None:
    total = 0
    more = True
    while more and total < _READ_ON_BYTES:
        message = await receive()
        total += len(message.get("body", b""))
        more = message.get("more_body", False)
