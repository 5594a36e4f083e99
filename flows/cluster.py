"""Trials on Prefect's task runners, for Dask and Ray: on each worker of the cluster a process of the program's own.

What travels is the name of a job and JSON; the store is what they share, on a file system that all of them see under
the same path.
"""

import atexit
import functools
import importlib.util
import json
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.orchestration import submit
from modules.errors import ConfigError, StudyError, UserError, WorkerError
from modules.extras import install_command
from modules.workers.jobs import Report
from modules.workers.pool import PoolClosedError, WorkerDiedError, WorkerPool

if TYPE_CHECKING:
    from prefect.futures import PrefectFuture
    from prefect.task_runners import TaskRunner

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_TRIES = 2
_ANY_NUMBER = 1024  # at an address: as many as the cluster takes
_PACKAGES = {"dask": "prefect_dask", "ray": "prefect_ray"}
_opening = threading.Lock()  # a worker of a cluster may have several threads

# A local cluster looks at itself up to a hundred times a second, for a tenth of a core; its trials last seconds.
_CALM = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.monitor-interval": "5s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.tick.interval": "1s",
    "distributed.scheduler.work-stealing": False,
}

# What Dask's nannies set for their workers: memory goes back to the system at every chance, so that a training spends
# half of its time on getting it again.
_TRIMMING = "MALLOC_TRIM_THRESHOLD_"


def check_installed(kind: str) -> None:
    """ConfigError where the runner's library is not there."""
    if importlib.util.find_spec(_PACKAGES[kind]) is None:
        raise ConfigError(
            f"runner={kind} needs {_PACKAGES[kind].replace('_', '-')}, which is not installed; "
            f"allowed is {install_command(kind)}, or runner=processes"
        )


class JobLostError(WorkerDiedError):
    """The cluster gave no answer of the job's own, as where a machine is gone."""


class ClusterWorkers:
    """What a WorkerPool is, with its workers on the cluster of the running flow's task runner."""

    def __init__(self, size: int | None, threads: int, log_folder: Path, timeout_seconds: float) -> None:
        self.size = size or _ANY_NUMBER
        self._threads = threads
        self._log_folder = log_folder
        self._timeout_seconds = timeout_seconds
        self._is_closed = False

    def call(self, job: str, arguments: dict[str, Any], report: Report = lambda progress: None) -> dict[str, Any]:
        """Do a job somewhere, and once more where the cluster lost it; nothing is reported on the way.

        Where its process died, that machine's own pool has tried it again if that was worth it.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                return self._result_of(job, arguments)
            except JobLostError as loss:
                if attempt == _TRIES:
                    raise
                logger.warning("%s; the job is tried again", loss)
        raise AssertionError("unreachable")

    def _result_of(self, job: str, arguments: dict[str, Any]) -> dict[str, Any]:
        future = submit(
            job.rpartition(".")[2],
            do_job,
            job=job,
            arguments=json.dumps(arguments),
            threads=self._threads,
            log_folder=str(self._log_folder),
            timeout_seconds=self._timeout_seconds,
        )
        try:
            self._wait_for(future)
            result: dict[str, Any] = json.loads(future.result())
            return result
        except (UserError, WorkerError):
            raise
        except Exception as error:
            raise JobLostError(f"the cluster lost the job {job}: {type(error).__name__}: {error}") from error

    def _wait_for(self, future: "PrefectFuture[str]") -> None:
        """Wait until a job has ended in whatever way."""
        while not self._is_closed:
            with suppress(TimeoutError):  # of the wait alone: one that the job raised is returned here
                future.result(timeout=_POLL_SECONDS, raise_on_failure=False)
                return
        raise PoolClosedError("the study ended")

    def close(self) -> None:
        """Wait for nothing any more."""
        self._is_closed = True

    def __enter__(self) -> "ClusterWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def do_job(job: str, arguments: str, threads: int, log_folder: str, timeout_seconds: float) -> str:
    """On the cluster: have this machine's own process do a job; JSON in, JSON out."""
    logging.getLogger("prefect.task_runs").setLevel(logging.CRITICAL)  # a local cluster's console is the study's
    with _opening:
        pool = _own_pool(threads, log_folder, timeout_seconds)
    spec = json.loads(arguments).get("spec")
    if spec is not None:
        _check_numerics(pool, json.dumps(spec["numerics"], sort_keys=True))
    return json.dumps(pool.call(job, json.loads(arguments)))


@functools.cache
def _own_pool(threads: int, log_folder: str, timeout_seconds: float) -> WorkerPool:
    os.environ.pop(_TRIMMING, None)
    folder = Path(log_folder) / f"{os.uname().nodename}-{os.getpid()}"
    pool = WorkerPool(1, threads, folder, preload="modules.training.trial", timeout_seconds=timeout_seconds)
    atexit.register(pool.close)
    return pool


@functools.cache
def _check_numerics(pool: WorkerPool, expected: str) -> None:
    """StudyError where this machine would train to other bits than the one that the trial's key speaks of."""
    wished = json.loads(expected)
    asked = {name: wished[name] for name in ("precision", "devices", "strategy")} | {"accelerator": wished["device"]}
    found = pool.call("modules.training.numerics.describe_numerics", asked)
    other = {name: value for name, value in found.items() if value != wished[name]}
    if other:
        theirs = {name: wished[name] for name in other}
        raise StudyError(
            f"{os.uname().nodename} computes with {_listed(other)}, the study with {_listed(theirs)}; allowed is a "
            "cluster of machines of one kind"
        )


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def task_runner(kind: str, workers: int, address: str | None) -> "Callable[[], TaskRunner[Any]]":
    """Makes Prefect's task runner of a kind, once Prefect is there."""
    return functools.partial({"dask": _dask, "ray": _ray}[kind], workers, address)


def _dask(workers: int, address: str | None) -> "TaskRunner[Any]":
    from prefect_dask import DaskTaskRunner

    if address is not None:
        return DaskTaskRunner(address=address)
    import dask

    dask.config.set(_CALM)
    local = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": logging.CRITICAL}
    return DaskTaskRunner(cluster_kwargs=local)


def _ray(workers: int, address: str | None) -> "TaskRunner[Any]":
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from prefect_ray import RayTaskRunner

    local = {"num_cpus": workers, "include_dashboard": False, "configure_logging": False, "log_to_driver": False}
    return RayTaskRunner(address=address, init_kwargs={} if address else local)
