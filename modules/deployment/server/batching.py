"""Requests that wait at the same moment are answered by one call of the model."""

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .errors import RequestError
from .metrics import Metrics
from .model import Model

_AT_ONCE_SECONDS = 0.002  # a call that takes less is made in the event loop: a thread would cost more than it frees


class Batcher:
    """Hands images to the model: small batches at once, large ones in a thread, so that other requests go on."""

    def __init__(self, model: Model, batch_images: int, max_waiting_images: int, metrics: Metrics) -> None:
        self.model = model
        self._batch_images = batch_images
        self._max_waiting = max_waiting_images
        self._metrics = metrics
        self._waiting: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._num_waiting = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._is_busy = False  # a batch is under way, or about to be

    async def probabilities(self, images: Any) -> Any:
        """The answer for images (N, height, width, channels); RequestError 503 where too many wait."""
        if self._num_waiting + len(images) > self._max_waiting:
            raise RequestError(
                503, f"{self._num_waiting} images are waiting already; try again later", {"retry-after": "1"}
            )
        answers = [
            await self._enqueue(images[start : start + self._batch_images])
            for start in range(0, len(images), self._batch_images)
        ]
        return answers[0] if len(answers) == 1 else np.concatenate(answers)

    def _enqueue(self, images: Any) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((images, future))
        self._num_waiting += len(images)
        if not self._is_busy:
            self._is_busy = True
            loop.call_soon(self._answer_batch)  # after what else this turn of the loop brings
        return future

    def _answer_batch(self) -> None:
        batch = self._take()
        if not batch:
            self._is_busy = False
            return
        images = batch[0][0] if len(batch) == 1 else np.concatenate([images for images, _ in batch])
        self._metrics.observe_batch(len(images))
        loop = asyncio.get_running_loop()
        if len(images) * self.model.seconds_an_image <= _AT_ONCE_SECONDS:
            done: asyncio.Future[Any] = loop.create_future()
            try:
                done.set_result(self.model.probabilities(images))
            except Exception as fault:
                done.set_exception(fault)
            self._deliver(batch, done)
            return
        running = loop.run_in_executor(self._thread, self.model.probabilities, images)
        running.add_done_callback(lambda done: self._deliver(batch, done))

    def _take(self) -> list[tuple[Any, "asyncio.Future[Any]"]]:
        batch: list[tuple[Any, asyncio.Future[Any]]] = []
        count = 0
        while self._waiting and (not batch or count + len(self._waiting[0][0]) <= self._batch_images):
            images, future = self._waiting.popleft()
            self._num_waiting -= len(images)
            if future.cancelled():  # its client has gone or its time is up
                continue
            batch.append((images, future))
            count += len(images)
        return batch

    def _deliver(self, batch: list[tuple[Any, "asyncio.Future[Any]"]], done: "asyncio.Future[Any]") -> None:
        fault = done.exception()
        start = 0
        for images, future in batch:
            if not future.done():
                if fault is None:
                    future.set_result(done.result()[start : start + len(images)])
                else:
                    future.set_exception(fault)
            start += len(images)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._answer_batch)
        else:
            self._is_busy = False
