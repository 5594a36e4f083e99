"""The server under the app: limits what a connection may cost before there is a request, and ends gently."""

import asyncio
import contextlib
import os
import signal
import socket
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .front import Front
from .logs import log
from .settings import Settings

_READY = "BUNDLE_READY"  # descriptor of a pipe to write a byte to once the server listens
_PARENT = "BUNDLE_PARENT"  # the process that started us: without it nobody would end us
_MAX_HEAD_BYTES = 32 * 1024


class LimitedProtocol(HttpToolsProtocol):
    """Closes a connection whose request head takes too long or is too large."""

    header_seconds = 10.0

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._head_bytes = 0
        self._in_head = True
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start to wait for a head."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.header_seconds, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """Count what comes before the end of a head."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > _MAX_HEAD_BYTES:
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """A head begins; where the connection was kept, its time begins too."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0
        if self._timer is None:
            self._timer = self.loop.call_later(self.header_seconds, self.transport.close)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._stop_timer()
        self._in_head = False
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for any more."""
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Server(uvicorn.Server):
    """On SIGTERM it takes no more connections, closes each one behind its next answer, and then ends.

    So a load balancer or a second server on the same socket takes over without a request that fails.
    """

    def __init__(self, app: Any, front: Front, settings: Settings, listener: socket.socket) -> None:
        LimitedProtocol.header_seconds = settings.header_seconds
        super().__init__(
            uvicorn.Config(
                app,
                http=LimitedProtocol,
                ws="none",
                interface="asgi3",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=settings.max_connections,
                timeout_graceful_shutdown=max(1, round(settings.request_seconds)),
            )
        )
        self._front = front
        self._settings = settings
        self._listener = listener
        self._deadline: float | None = None
        self._parent = int(os.environ[_PARENT]) if _PARENT in os.environ else None

    def serve_until_stopped(self) -> None:
        """Serve; returns when a signal has ended it."""
        self.run(sockets=[self._listener])
        log("ended")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so; whoever started us may wait at a pipe."""
        host, port, *_ = self._listener.getsockname()
        await super().startup(sockets)
        log("ready", address=f"http://{host}:{port}")
        if _READY in os.environ:
            descriptor = int(os.environ.pop(_READY))
            with contextlib.suppress(BrokenPipeError):  # nobody waits any more: see `on_tick`
                os.write(descriptor, b"1")
            os.close(descriptor)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first SIGTERM drains; another signal, or a Ctrl-C, ends at once."""
        if sig == signal.SIGTERM and not self._front.is_draining:
            self._drain()
            return
        self.should_exit = True

    def _drain(self) -> None:
        self._front.is_draining = True
        log("draining", seconds=self._settings.drain_seconds)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second: whether to end. It begins to where the process that started it is gone."""
        if self._parent not in (None, os.getppid()) and not self._front.is_draining:
            self._drain()
        if self._front.is_draining:
            now = asyncio.get_running_loop().time()
            if self._deadline is None:
                self._deadline = now + self._settings.drain_seconds
                for server in self.servers:
                    server.close()
            self.should_exit = self.should_exit or now > self._deadline or not self.server_state.connections
        return await super().on_tick(counter)


def open_socket(settings: Settings, descriptor: int | None) -> socket.socket:
    """The socket to listen on: one that was handed down, or a new one at the address in the settings."""
    if descriptor is not None:
        return socket.socket(fileno=descriptor)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((settings.host, settings.port))
    return listener
