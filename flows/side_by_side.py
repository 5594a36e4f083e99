"""Calls side by side, each in a thread of its own that belongs to the flow run it was started from."""

import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from modules.workers.pool import PoolClosedError

R = TypeVar("R")


def side_by_side(calls: Sequence[Callable[[], R]], give_up: Callable[[], None]) -> list[R]:
    """The results of calls, in the order of the calls.

    Where one raises, or this thread is interrupted, `give_up` has the others come to an end, and what was raised first
    is raised.
    """
    if not calls:
        return []
    with ThreadPoolExecutor(len(calls), thread_name_prefix="side-by-side") as threads:
        futures = [threads.submit(contextvars.copy_context().run, call) for call in calls]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
            return [future.result() for future in futures]
        except PoolClosedError:
            wait(futures)
            _raise_cause(futures)
            raise
        except BaseException:  # an interrupt stays one, whatever comes of the others
            give_up()
            raise


def _raise_cause(futures: Sequence[Future[R]]) -> None:
    """Of several errors the one that the others, whose workers were ended for it, followed from."""
    for future in futures:
        error = future.exception()
        if error is not None and not isinstance(error, PoolClosedError):
            raise error
