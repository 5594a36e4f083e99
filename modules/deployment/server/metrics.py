"""Counts and times in the text form of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)
_PAGE = 4096


class Histogram:
    """How many values lie in each bucket, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def lines(self, name: str, labels: str = "") -> Iterator[str]:
        """Its samples."""
        total = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            total += count
            inner = f'{labels},le="{bound}"' if labels else f'le="{bound}"'
            yield f"{name}_bucket{{{inner}}} {total}"
        outer = f"{{{labels}}}" if labels else ""
        yield f"{name}_sum{outer} {self.sum:.9g}"
        yield f"{name}_count{outer} {total}"


class Metrics:
    """What the server has done since it started."""

    def __init__(self, model: str, version: str) -> None:
        self.model = f'model="{model}",version="{version}"'
        self.started_at = time.time()
        self.in_flight = 0
        self.images = 0
        self._requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._seconds: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(_SECONDS))
        self._batches = Histogram(_IMAGES)

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer; `route` is an address as the app lists it, so that there are few of them."""
        self._requests[method, route, status] += 1
        self._seconds[route].observe(seconds)

    def observe_batch(self, images: int) -> None:
        """Count a call of the model."""
        self.images += images
        self._batches.observe(images)

    def text(self) -> str:
        """All of it."""
        return "\n".join([*self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        yield from _head("bundle_info", "gauge", "The model that is served.")
        yield f"bundle_info{{{self.model}}} 1"
        yield from _head("http_requests_total", "counter", "Answers by method, address and status.")
        for (method, route, status), count in self._requests.items():
            yield f'http_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}'
        yield from _head("http_request_duration_seconds", "histogram", "From the request's head to the answer's end.")
        for route, histogram in self._seconds.items():
            yield from histogram.lines("http_request_duration_seconds", f'route="{route}"')
        yield from _head("http_requests_in_flight", "gauge", "Requests that are being answered.")
        yield f"http_requests_in_flight {self.in_flight}"
        yield from _head("model_images_total", "counter", "Images that the model has seen.")
        yield f"model_images_total {self.images}"
        yield from _head("model_batch_images", "histogram", "Images in a call of the model.")
        yield from self._batches.lines("model_batch_images")
        yield from _head("process_start_time_seconds", "gauge", "When the server started, in unix seconds.")
        yield f"process_start_time_seconds {self.started_at:.3f}"
        yield from _head("process_resident_memory_bytes", "gauge", "Memory in use.")
        yield f"process_resident_memory_bytes {_resident_bytes()}"


def _head(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"


def _resident_bytes() -> int:
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * _PAGE if statm.exists() else 0
