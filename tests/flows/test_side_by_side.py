"""Calls in threads: their results in order, and what is raised where one of them fails."""

import contextvars
import threading

import pytest

from flows.side_by_side import side_by_side
from modules.errors import TrainingError
from modules.workers.pool import PoolClosedError

place = contextvars.ContextVar("place", default="nowhere")


def never() -> None:
    raise AssertionError("nothing failed, so nothing is to be given up")


def test_results_come_in_the_order_of_the_calls_whatever_the_order_of_their_ends():
    second_ended = threading.Event()

    def first() -> int:
        assert second_ended.wait(10)
        return 1

    def second() -> int:
        second_ended.set()
        return 2

    assert side_by_side([first, second], never) == [1, 2]


def test_nothing_is_done_for_no_calls():
    assert side_by_side([], never) == []


def test_a_call_sees_the_context_it_was_made_in():
    token = place.set("here")
    try:
        assert side_by_side([place.get, place.get], never) == ["here", "here"]
    finally:
        place.reset(token)


def test_the_first_failure_ends_the_others_and_is_what_is_raised():
    ended = threading.Event()

    def waiting() -> None:
        assert ended.wait(10)
        raise PoolClosedError("the workers were ended")

    def failing() -> None:
        raise TrainingError("the loss exploded")

    with pytest.raises(TrainingError, match="the loss exploded"):
        side_by_side([waiting, failing, waiting], ended.set)


def test_an_interrupt_of_the_waiting_thread_ends_the_calls(monkeypatch):
    ended = threading.Event()

    def interrupted(futures, return_when):
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.side_by_side.wait", lambda futures, return_when=None: interrupted(futures, return_when))
    with pytest.raises(KeyboardInterrupt):
        side_by_side([lambda: ended.wait(10)], ended.set)
    assert ended.is_set()
