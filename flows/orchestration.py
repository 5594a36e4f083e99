"""How the flows are run: through Prefect, or inline as the plain functions that they are.

    @task("load data", retries=2)                 # retries: on OSError only, so for reading and writing only
    def load_data(...): ...

    @task("train trial {role} seed {trial.seed}") # fields are parameters of the function, or attributes of them
    def train_trial(trial, role): ...

    def run_study(settings, home):
        prepare("prefect", home)                  # as early as possible: the local server starts in the background
        return run_flow(partial(study, settings), orchestrator="prefect", home=home, name="study", run_name="digits-1")

`study` is a plain function that calls tasks. Under `run_flow(..., orchestrator="prefect")` each call of a task is a task
run of the flow run; with `orchestrator="inline"`, and wherever no flow runs, a task is just called and Prefect is never
imported. What a task raises comes out unchanged. A task called from a thread of your own belongs to the flow run if the
thread was started with `contextvars.copy_context().run`.
"""

import functools
import inspect
import logging
import re
import signal
import string
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

if TYPE_CHECKING:
    from prefect import State

P = ParamSpec("P")
R = TypeVar("R")
Orchestrator = Literal["prefect", "inline"]

_in_prefect_flow: ContextVar[bool] = ContextVar("espalier_in_prefect_flow", default=False)
_log = logging.getLogger("prefect.espalier")


def task(name: str, retries: int = 0) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make each call of a function a task run called `name`, whose {fields} are filled from the call's arguments."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        _check_fields(name, signature)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if not _in_prefect_flow.get():
                return function(*args, **kwargs)
            run_name = _filled(name, signature, args, kwargs)
            return _prefect_task(function, retries)(run_name, functools.partial(function, *args, **kwargs))

        return call

    return decorate


def publish_table(key: str, markdown: str) -> None:
    """Show a Markdown table with the running flow in Prefect's UI; inline there is nowhere to show it."""
    if not _in_prefect_flow.get():
        return
    from prefect.artifacts import create_markdown_artifact

    try:
        create_markdown_artifact(markdown=markdown, key=re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-"))
    except Exception:
        _log.exception("The table %r could not be published", key)  # a view that is missing must not end a study


def prepare(orchestrator: Orchestrator, home: Path) -> None:
    """Start Prefect's local server in the background, so that other work hides the seconds it takes."""
    raise NotImplementedError


def run_flow(
    body: Callable[[], R],
    *,
    orchestrator: Orchestrator,
    home: Path,
    name: str,
    run_name: str,
    parameters: Mapping[str, Any] | None = None,
) -> R:
    """Call `body` as a flow run and return or raise what it does; `parameters` (plain JSON) are only shown.

    Prefect's part in it cannot lose a result: if its server is lost on the way, what `body` returned is still returned.
    """
    if orchestrator == "inline":
        return body()
    raise NotImplementedError


def _check_fields(name: str, signature: inspect.Signature) -> None:
    for _, field, _, _ in string.Formatter().parse(name):
        if field is not None and re.split(r"[.\[]", field)[0] not in signature.parameters:
            allowed = ", ".join(signature.parameters)
            raise ValueError(f"the task name {name!r} has a field {field!r}; the function's parameters are {allowed}")


def _filled(name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return name.format_map(bound.arguments)


@functools.cache
def _prefect_task(function: Callable[..., R], retries: int) -> Callable[[str, Callable[[], R]], R]:
    """The Prefect task of a function. It is given the call as a closure, so Prefect never walks through the arguments."""
    import prefect
    from prefect.cache_policies import NO_CACHE

    def run(run_name: str, call: Callable[[], R]) -> R:
        return call()

    run.__module__, run.__qualname__ = function.__module__, function.__qualname__
    return prefect.task(
        run,
        name=function.__name__,
        description=inspect.getdoc(function),
        task_run_name="{run_name}",
        retries=retries,
        retry_delay_seconds=1,
        retry_condition_fn=_is_worth_a_retry,
        persist_result=False,
        cache_policy=NO_CACHE,
        log_prints=False,
    )


def _is_worth_a_retry(task: Any, run: Any, state: "State[Any]") -> bool:
    """Only a fault of the disk or the network may pass; a wrong input stays wrong."""
    return isinstance(state.data, OSError)
