"""How the flows are run: through Prefect, or inline as the plain functions that they are.

    @task("load data", retries=2)                 # retries: on OSError only, so for reading and writing only
    def load_data(...): ...

    @task("train trial {role} seed {trial.seed}") # fields are parameters of the function, or attributes of them
    def train_trial(trial, role): ...

    def run_study(settings, home):
        prepare("prefect", home)                  # as early as possible: the local server starts in the background
        return run_flow(partial(study, settings), orchestrator="prefect", home=home, name="study", run_name="digits-1")

`study` is a plain function that calls tasks. Under `run_flow(..., orchestrator="prefect")` each call of a task is a
task run of the flow run; with `orchestrator="inline"`, and wherever no flow runs, a task is just called and Prefect is
never imported. What a task raises comes out unchanged. A task called from a thread of your own belongs to the flow run
if the thread was started with `contextvars.copy_context().run`.
"""

import contextvars
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
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, ParamSpec, TypeVar
from uuid import UUID

from flows import prefect_client
from flows.server import join

if TYPE_CHECKING:
    from prefect import State
    from prefect.futures import PrefectFuture
    from prefect.task_runners import TaskRunner

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
Orchestrator = Literal["prefect", "inline"]

_current: "ContextVar[_FlowCall[Any] | None]" = ContextVar("espalier_flow_call", default=None)
_starting: "ContextVar[_FlowCall[Any] | None]" = ContextVar("espalier_starting", default=None)
_log = logging.getLogger("prefect.espalier")


def task(name: str, retries: int = 0) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make each call of a function a task run called `name`, whose {fields} are filled from the call's arguments."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        _check_fields(name, signature)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            flow_call = _current.get()
            if flow_call is None:
                return function(*args, **kwargs)
            flow_call.count_task()
            run_name = _filled(name, signature, args, kwargs)
            return _prefect_task(function, retries)(run_name, functools.partial(function, *args, **kwargs))

        return call

    return decorate


def submit(name: str, function: Callable[..., R], **parameters: Any) -> "PrefectFuture[R]":
    """Have the running flow's task runner call `function`, perhaps on another machine, as a task run called `name`.

    The function is found there by its module, and its parameters are plain data.
    """
    flow_call = _current.get()
    assert flow_call is not None, "a cluster belongs to a flow that Prefect runs"
    return flow_call.submit(name, function, parameters)


def publish_table(key: str, markdown: str) -> None:
    """Show a Markdown table with the running flow in Prefect's UI; inline there is nowhere to show it."""
    if _current.get() is None:
        return
    from prefect.artifacts import create_markdown_artifact

    try:
        create_markdown_artifact(markdown=markdown, key=re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-"))
    except Exception:
        _log.exception("The table %r could not be published", key)  # a view that is missing must not end a study


def prepare(orchestrator: Orchestrator, home: Path) -> None:
    """Start Prefect's local server in the background, so that other work hides the seconds it takes."""
    if orchestrator == "prefect":
        join(home)


def run_flow(
    body: Callable[[], R],
    *,
    orchestrator: Orchestrator,
    home: Path,
    name: str,
    run_name: str,
    parameters: Mapping[str, Any] | None = None,
    task_runner: "Callable[[], TaskRunner[Any]] | None" = None,
) -> R:
    """Call `body` as a flow run and return or raise what it does; `parameters` (plain JSON) are only shown.

    `task_runner` makes, once Prefect is there, the one that `submit` uses. Prefect cannot lose a result: if its server
    is lost on the way, what `body` returned is still returned. A SIGTERM raises SystemExit(143) in `body` unless the
    caller has a handler of its own.
    """
    with _terminable():
        if orchestrator == "inline":
            return body()
        membership = join(home)
        with prefect_client.configured(membership):
            prefect_client.mark_crashed_runs(membership)
            call = _FlowCall(body, task_runner() if task_runner else None)
            call.run(name, run_name, dict(parameters or {}), prefect_client.tags_of(membership))
            return call.result()


class _FlowCall(Generic[R]):
    """One call of a body as a flow run. What the body returned or raised is kept here, out of Prefect's hands."""

    def __init__(self, body: Callable[[], R], task_runner: "TaskRunner[Any] | None" = None) -> None:
        self.num_tasks = 0
        self._counting = threading.Lock()
        self._body = body
        self._task_runner = task_runner
        self._context = contextvars.Context()
        self._returned: list[R] = []
        self._raised: BaseException | None = None
        self._sigterm = signal.getsignal(signal.SIGTERM)
        self._run_id: UUID | None = None

    def count_task(self) -> None:
        """One more that the server is to know of; safe in several threads."""
        with self._counting:
            self.num_tasks += 1

    def run(self, name: str, run_name: str, parameters: dict[str, Any], tags: list[str]) -> None:
        """Have Prefect call the body; a fault of Prefect's own counts only if the body did not come to an end."""
        import prefect

        decorate: Any = prefect.flow(
            name=name,
            flow_run_name=lambda: run_name,
            validate_parameters=False,
            persist_result=False,
            task_runner=self._task_runner,
        )
        token = _starting.set(self)
        try:
            with prefect.tags(*tags):
                decorate(_call_body)(return_state=True, **parameters)
        except Exception:
            if not self._has_ended:
                raise
            _log.exception("Prefect failed after the flow had ended")
        finally:
            _starting.reset(token)
            if self._run_id is not None:
                prefect_client.settle(self._run_id, self.num_tasks)

    def submit(self, name: str, function: Callable[..., S], parameters: dict[str, Any]) -> "PrefectFuture[S]":
        """See the function `submit`. Not within the task that asks for it, whose arguments would travel, too."""
        self.count_task()
        run_named = _submitted_task(function).with_options(task_run_name=name)
        future: PrefectFuture[S] = self._context.copy().run(run_named.submit, **parameters)
        return future

    def result(self) -> R:
        """What the body returned; or raises what it raised."""
        if self._raised is not None:
            raise self._raised
        return self._returned[0]

    @property
    def _has_ended(self) -> bool:
        return bool(self._returned) or self._raised is not None

    def call_body(self) -> "State[Any]":
        """What Prefect calls."""
        from prefect.context import TagsContext
        from prefect.runtime import flow_run
        from prefect.states import Cancelled, Completed, Failed

        self._run_id = UUID(flow_run.id)
        token = _current.set(self)
        try:
            # Our handler instead of Prefect's; no tags on the tasks, for each of which the server would be asked.
            with _sigterm_handler(self._sigterm), TagsContext(current_tags=set()):
                self._context = contextvars.copy_context()
                self._returned.append(self._body())
        except Exception as error:
            self._raised = error
            return Failed(message=f"{type(error).__name__}: {error}")
        except BaseException as error:
            self._raised = error
            return Cancelled(message=f"Stopped by {type(error).__name__}")
        finally:
            _current.reset(token)
        return Completed()


def _call_body(**shown: Any) -> "State[Any]":
    """The flow's function: with nothing enclosed, since it travels to a cluster with each task."""
    call = _starting.get()
    assert call is not None
    return call.call_body()


@contextmanager
def _terminable() -> Iterator[None]:
    """Let a SIGTERM unwind the stack, where nobody has said what else it should do."""
    handler = signal.getsignal(signal.SIGTERM)
    with _sigterm_handler(_exit_on_sigterm if handler is signal.SIG_DFL else handler):
        yield


@contextmanager
def _sigterm_handler(handler: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _exit_on_sigterm(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


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
    """The Prefect task of a function; it is given the call as a closure, so Prefect never walks through arguments."""
    import prefect
    from prefect.cache_policies import NO_CACHE

    def run(run_name: str, call: Callable[[], R]) -> R:
        return call()

    run.__module__, run.__qualname__ = function.__module__, function.__qualname__
    decorate = prefect.task(
        name=function.__name__,
        description=inspect.getdoc(function),
        task_run_name="{run_name}",
        retries=retries,
        retry_delay_seconds=1,
        retry_condition_fn=_is_worth_a_retry,
        persist_result=False,
        cache_policy=NO_CACHE,
    )
    return decorate(run)


@functools.cache
def _submitted_task(function: Callable[..., R]) -> Any:
    import prefect
    from prefect.cache_policies import NO_CACHE

    return prefect.task(name=function.__name__, persist_result=False, cache_policy=NO_CACHE)(function)


def _is_worth_a_retry(task: Any, run: Any, state: "State[Any]") -> bool:
    """Only a fault of the disk or the network may pass; a wrong input stays wrong."""
    return isinstance(state.data, OSError)
