"""A load generator: clients that ask one after the other over kept connections, and how long each answer took."""

import asyncio
import resource
import statistics
import time
from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True)
class Measured:
    """Of one server under one load."""

    clients: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    failed: int
    generator_share: float  # of one core, that the clients themselves took


class _Client(asyncio.Protocol):
    """Sends the same request again as soon as its answer is there."""

    def __init__(self, request: bytes, ends_at: float) -> None:
        self.times: list[float] = []
        self.failed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._ends_at = ends_at
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._started = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < _content_length(head):
            return
        now = time.perf_counter()
        self.times.append(now - self._started)
        self.failed += not head.startswith(b"HTTP/1.1 200")
        self._buffer = b""
        if now < self._ends_at:
            self._send()
        else:
            self._transport.close()
            self._finish()

    def connection_lost(self, error: Exception | None) -> None:
        self.failed += not self.done.done()
        self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    raise SystemExit("the load generator needs answers with a content-length")


def request_of(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """The bytes of a request."""
    lines = {"host": "127.0.0.1", "content-length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def measure(port: int, request: bytes, clients: int, seconds: float) -> Measured:
    """Load a server for some seconds, after a tenth of that as a warm-up."""
    asyncio.run(_load(port, request, clients, seconds / 10))
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    done = asyncio.run(_load(port, request, clients, seconds))
    took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    times = sorted(1000 * each for client in done for each in client.times)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(
        clients=clients,
        requests_per_second=len(times) / took,
        p50_ms=statistics.median(times),
        p99_ms=times[min(len(times) - 1, int(0.99 * len(times)))],
        failed=sum(client.failed for client in done),
        generator_share=own / took,
    )


def _itself(client: _Client) -> _Client:
    return client


async def _load(port: int, request: bytes, clients: int, seconds: float) -> list[_Client]:
    loop = asyncio.get_running_loop()
    ends_at = time.perf_counter() + seconds
    made = [_Client(request, ends_at) for _ in range(clients)]
    await asyncio.gather(*(loop.create_connection(partial(_itself, client), "127.0.0.1", port) for client in made))
    await asyncio.gather(*(client.done for client in made))
    return made
