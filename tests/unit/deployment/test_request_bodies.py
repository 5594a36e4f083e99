"""What bodies are held at once, without a server."""

import asyncio

import pytest

from modules.deployment.server.bodies import Held, read_body
from modules.deployment.server.errors import RequestError
from modules.deployment.server.settings import Settings

SETTINGS = Settings(max_body_bytes=100, max_held_bytes=150, request_seconds=0.2)


def scope(length):
    return {"headers": [(b"content-length", str(length).encode())]}


def read(scope, held, *chunks):
    """The body that comes in chunks; None is one that does not come."""
    waiting = list(chunks)

    async def receive():
        chunk = waiting.pop(0)
        if chunk is None:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

    return asyncio.run(read_body(scope, receive, SETTINGS, held))


def test_a_body_is_held_until_it_is_given_back():
    held, asked = Held(), scope(90)
    assert read(asked, held, b"a" * 40, b"b" * 50) == b"a" * 40 + b"b" * 50
    assert held.bytes == asked["held"] == 90


def test_what_is_announced_and_does_not_come_takes_no_place_from_others():
    held = Held()
    for _ in range(4):
        with pytest.raises(RequestError, match="did not arrive within"):
            read(scope(100), held, b"a", None)
    assert held.bytes == 4
    assert read(scope(100), held, b"a" * 100) == b"a" * 100


def test_more_than_may_be_held_is_refused_for_now():
    held = Held(100)
    with pytest.raises(RequestError, match="too many bytes of other requests") as refused:
        read(scope(60), held, b"a" * 40, b"b" * 20)
    assert refused.value.status == 503


@pytest.mark.parametrize("length", [10, 101])
def test_more_than_a_body_may_have_is_refused(length):
    with pytest.raises(RequestError, match="allowed are 100"):
        read(scope(length), Held(), b"a" * 60, b"b" * 60)
