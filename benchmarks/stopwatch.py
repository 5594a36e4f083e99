"""The seconds that a process spends in certain calls."""

import time
from collections.abc import Callable
from typing import Any


class Stopwatch:
    """Adds up the seconds of calls; one that is made within another is in that one's already."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._is_running = False

    def watch(self, owner: Any, *names: str) -> None:
        """From now on, these functions or methods of a module or class."""
        for name in names:
            setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            if self._is_running:
                return call(*arguments, **named)
            self._is_running, began = True, time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - began
                self._is_running = False

        return timed
