"""What this process tells Prefect and asks it: settings, a quiet log, and runs brought to a final state."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flows.server import Membership, settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_SETTLE_SECONDS = 10.0
_PAGE = 200  # the most that the API gives at once
_LOGGERS = ("prefect", "prefect.extra", "prefect.flow_runs", "prefect.task_runs", "prefect._internal")
_log = logging.getLogger("prefect.espalier")


@contextmanager
def configured(membership: Membership) -> Iterator[None]:
    """Prefect imported and pointed to the server of one home, with its log in a file and nothing on the console."""
    environment = {
        **settings(membership.folder),
        "PREFECT_CLIENT_MAX_RETRIES": "2",  # each waits twice as long as the one before
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    }
    with _environment(environment):
        _import_quietly()  # while a local server is still starting
        _log_into(membership.folder / "flows.log")
        with _environment({"PREFECT_API_URL": membership.url}), _settings_of_environment():
            yield


def tags_of(membership: Membership) -> list[str]:
    """By these a later process finds the runs of this home and knows whether their process still lives."""
    return ["espalier", f"home-{membership.home_identity}", f"process-{membership.identity}"]


def mark_crashed_runs(membership: Membership) -> int:
    """Mark what killed processes of this home left unfinished as crashed; returns the number of flow runs."""
    from prefect.client.orchestration import get_client

    marked = 0
    try:
        with get_client(sync_client=True) as client:
            for run in _orphans(client, membership, waiting=False):
                _end_task_runs(client, run.id)
                _set_crashed(client.set_flow_run_state, run.id)
                marked += 1
    except Exception:
        _log.exception("The runs of killed processes could not be marked")  # the next start tries again
    return marked


def forget_waiting_runs(membership: Membership) -> None:
    """Remove the runs that a killed process of this home was to start: who takes its place plans them anew."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        for run in _orphans(client, membership, waiting=True):
            client.delete_flow_run(run.id)


def settle(flow_run_id: UUID, num_tasks: int) -> None:
    """Wait until the server has recorded the final states of a flow run and its tasks, and set those that have none."""
    worker = threading.Thread(target=_settle, args=(flow_run_id, num_tasks), daemon=True)
    worker.start()
    worker.join(2 * _SETTLE_SECONDS)  # a server that is lost must not hold up the end of a study


def _settle(flow_run_id: UUID, num_tasks: int) -> None:
    from prefect.client.orchestration import get_client
    from prefect.events.worker import EventsWorker

    try:
        EventsWorker.drain_all(timeout=_SETTLE_SECONDS, at_exit=False)  # task runs are known to the server by events
        deadline = time.monotonic() + _SETTLE_SECONDS
        with get_client(sync_client=True) as client:
            while time.monotonic() < deadline and not _is_settled(client, flow_run_id, num_tasks):
                time.sleep(0.05)
            _end_task_runs(client, flow_run_id)
            state = client.read_flow_run(flow_run_id).state
            if state is None or not state.is_final():
                _set_crashed(client.set_flow_run_state, flow_run_id)
    except Exception:
        _log.exception("The states of flow run %s could not be settled", flow_run_id)


def _is_settled(client: "SyncPrefectClient", flow_run_id: UUID, num_tasks: int) -> bool:
    runs = _task_runs(client, flow_run_id)
    return len(runs) >= num_tasks and all(run.state is not None and run.state.is_final() for run in runs)


def _orphans(client: "SyncPrefectClient", membership: Membership, waiting: bool) -> list[Any]:
    """The runs of this home whose process is dead: those that were under way, or those that have not begun."""
    runs = []
    for run in _unfinished_flow_runs(client, f"home-{membership.home_identity}", waiting):
        identity = next((tag.removeprefix("process-") for tag in run.tags if tag.startswith("process-")), "")
        if identity != membership.identity and not membership.is_alive(identity):
            runs.append(run)
    return runs


def _unfinished_flow_runs(client: "SyncPrefectClient", tag: str, waiting: bool) -> list[Any]:
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        FlowRunFilterTags,
    )
    from prefect.client.schemas.objects import TERMINAL_STATES, StateType

    not_begun = (StateType.SCHEDULED, StateType.PAUSED)
    unfinished = [kind for kind in StateType if kind not in TERMINAL_STATES and (kind in not_begun) == waiting]
    chosen = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[tag]), state=FlowRunFilterState(type=FlowRunFilterStateType(any_=unfinished))
    )
    return client.read_flow_runs(flow_run_filter=chosen, limit=_PAGE)


def _task_runs(client: "SyncPrefectClient", flow_run_id: UUID) -> list[Any]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    chosen = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    runs: list[Any] = []
    while len(page := client.read_task_runs(flow_run_filter=chosen, limit=_PAGE, offset=len(runs))) == _PAGE:
        runs += page
    return runs + page


def _end_task_runs(client: "SyncPrefectClient", flow_run_id: UUID) -> None:
    for run in _task_runs(client, flow_run_id):
        if run.state is None or not run.state.is_final():
            _set_crashed(client.set_task_run_state, run.id)


def _set_crashed(set_state: Callable[..., Any], run_id: UUID) -> None:
    from prefect.states import Crashed

    set_state(run_id, Crashed(message="The process that ran it was killed."), force=True)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _import_quietly() -> None:
    """Prefect's import gives the root logger a handler for the console, for everybody's warnings: take it back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    import prefect.main  # noqa: F401  `import prefect` alone would put off setting up its logging to a later moment

    root.handlers[:] = handlers
    root.setLevel(level)


@contextmanager
def _settings_of_environment() -> Iterator[None]:
    """Read the settings again, for all threads: Prefect's `temporary_settings` would hold in this one alone."""
    from prefect import context

    before = context.GLOBAL_SETTINGS_CONTEXT
    context.refresh_global_settings_context()
    try:
        yield
    finally:
        context.GLOBAL_SETTINGS_CONTEXT = before


class _LogFile(logging.FileHandler):
    """A log that nobody hears of where it cannot be written: on a full disk the study itself says so."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # of opening the file
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        pass


def _log_into(path: Path) -> None:
    """Prefect's log goes to a file, for good: its threads may have something to say until the process ends."""
    handler = _LogFile(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        is_top = name in ("prefect", "prefect._internal")
        for old in logger.handlers:
            old.close()
        logger.handlers[:] = [handler] if is_top else []
        logger.propagate = not is_top
