import asyncio

import numpy as np
import pytest

from modules.deployment.server.batching import Batcher
from modules.deployment.server.errors import RequestError
from modules.deployment.server.metrics import Metrics

SHAPE = (2, 2, 1)


class Double:
    """A model whose answer is the mean of each image; remembers how many images each call had."""

    def __init__(self, seconds_an_image=1e-6):
        self.seconds_an_image = seconds_an_image
        self.calls = []

    def probabilities(self, images):
        self.calls.append(len(images))
        if images.max() == 255:
            raise RuntimeError("a fault")
        return images.reshape(len(images), -1).mean(axis=1, keepdims=True)


def images(count, value):
    return np.full((count, *SHAPE), value, dtype=np.uint8)


def run(model, requests, batch_images=8, max_waiting_images=100):
    async def all_at_once():
        batcher = Batcher(model, batch_images, max_waiting_images, Metrics("m", "v"))
        return await asyncio.gather(*map(batcher.probabilities, requests), return_exceptions=True)

    return asyncio.run(all_at_once())


@pytest.mark.parametrize("seconds", [1e-6, 1.0], ids=["in the loop", "in a thread"])
def test_requests_are_answered_together_and_each_gets_its_own(seconds):
    model = Double(seconds)
    answers = run(model, [images(count, value) for value, count in enumerate([1, 2, 3, 4, 1])])
    assert [len(found) for found in answers] == [1, 2, 3, 4, 1]
    assert all((found == value).all() for value, found in enumerate(answers))
    assert model.calls == [6, 5]


def test_a_large_request_is_taken_in_pieces():
    model = Double()
    (found,) = run(model, [np.arange(20, dtype=np.uint8).repeat(4).reshape(20, *SHAPE)])
    np.testing.assert_array_equal(found.ravel(), np.arange(20))
    assert model.calls == [8, 8, 4]


@pytest.mark.parametrize("seconds", [1e-6, 1.0])
def test_a_fault_reaches_those_whom_it_concerns_and_no_others(seconds):
    answers = run(Double(seconds), [images(8, 1), images(8, 255), images(8, 3)])
    assert (answers[0] == 1).all()
    assert isinstance(answers[1], RuntimeError)
    assert (answers[2] == 3).all()


def test_too_many_are_refused():
    answers = run(Double(1.0), [images(6, 1)] * 4, max_waiting_images=18)
    refused = [found for found in answers if isinstance(found, RequestError)]
    assert [found.status for found in refused] == [503]


def test_one_who_has_gone_is_not_waited_for():
    async def leave():
        model = Double(1.0)
        batcher = Batcher(model, 8, 100, Metrics("m", "v"))
        gone = asyncio.ensure_future(batcher.probabilities(images(3, 1)))
        stays = asyncio.ensure_future(batcher.probabilities(images(2, 2)))
        await asyncio.sleep(0)
        gone.cancel()
        await stays
        return model.calls

    assert asyncio.run(leave()) == [2]
