"""What every request goes through: the key, counts, a line in the log, limits of time, and a sentence if it fails."""

import asyncio
import hmac
import time
from typing import Any

from .bodies import Held
from .errors import RequestError
from .logs import log
from .metrics import Metrics
from .refusal import Refusal
from .settings import Settings

_OPEN = ("/", "/metrics", "/openapi.json", "/docs", "/v2", "/v2/health/live", "/v2/health/ready")  # need no key


class Front:
    """The outermost ASGI application."""

    def __init__(self, app: Any, settings: Settings, metrics: Metrics, held: Held) -> None:
        self.app = app
        self.is_draining = False  # the server is about to end: each answer closes its connection
        self._settings = settings
        self._metrics = metrics
        self._held = held
        self._key = settings.api_key.encode()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def send_on(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self.is_draining:
                    message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        self._metrics.in_flight += 1
        try:
            self._check_key(scope)
            async with asyncio.timeout(2 * self._settings.request_seconds):  # the body has half of it
                await self.app(scope, receive, send_on)
        except Exception as error:
            if status == 0:
                await Refusal(error)(scope, receive, send_on)
        finally:
            self._metrics.in_flight -= 1
            self._held.bytes -= scope.get("held", 0)
            self._note(scope, status, time.perf_counter() - started)

    def _check_key(self, scope: dict[str, Any]) -> None:
        if not self._key or scope["path"] in _OPEN:
            return
        for name, value in scope["headers"]:
            given = value if name == b"x-api-key" else value[7:] if name == b"authorization" else None
            if given is not None and hmac.compare_digest(given, self._key):
                return
        raise RequestError(
            401,
            "the API key is missing or wrong; send it as the header X-API-Key or Authorization: Bearer",
            {"www-authenticate": "Bearer"},
        )

    def _note(self, scope: dict[str, Any], status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.observe_request(scope["method"] if route != "other" else "any", route, status, seconds)
        if self._settings.log_requests:
            log("request", method=scope["method"], path=scope["path"][:200], status=status, ms=round(1000 * seconds, 3))
