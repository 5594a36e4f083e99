"""Warm worker processes, seen from the process that asks them.

A job that runs out of memory, hangs or must be cancelled takes nothing with it: its worker is replaced, and the job
tried once more, since the store holds all that earlier jobs finished. One that took too long is not tried again.
"""

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Protocol

from modules import errors
from modules.errors import UserError, WorkerError
from modules.workers.jobs import Report

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
_TRIES = 2


class WorkerDiedError(WorkerError):
    """The process ended without an answer."""


class WorkerKilledError(WorkerDiedError):
    """Memory ran out; or the process was killed from outside, as happens then."""


class JobTimedOutError(WorkerDiedError):
    """The process was ended because its job took longer than allowed."""


class PoolClosedError(WorkerError):
    """The pool was closed while a job was waited for: nothing is known about the job, and nobody wants to know."""


class Workers(Protocol):
    """Whoever does jobs: as many at once as `size`."""

    size: int

    def call(self, job: str, arguments: dict[str, Any], report: Report = ...) -> dict[str, Any]:
        """Do a job and return its result; safe to use from several threads."""

    def close(self) -> None:
        """End what is under way; who waits for it gets a PoolClosedError."""


class Worker:
    """One process, started at once, which imports `preload` while nobody waits for it."""

    def __init__(self, threads: int, log: Path, preload: str | None = None) -> None:
        self.log = log
        self.owes_answer = False  # it is at work; what it says next belongs to that job
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as log_file:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "modules.workers.main"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                text=True,
                encoding="utf-8",
                env=_environment(threads),
                start_new_session=True,
            )
        if preload is not None:
            self._send({"import": preload})

    def call(
        self, job: str, arguments: dict[str, Any], report: Report, timeout_seconds: float | None
    ) -> dict[str, Any]:
        """Run a job and return its result; progress goes to `report`."""
        if timeout_seconds is None:
            return self._call(job, arguments, report)
        reached = threading.Event()
        timer = threading.Timer(min(timeout_seconds, threading.TIMEOUT_MAX), self._end_at_limit, (reached,))
        try:
            timer.start()
            return self._call(job, arguments, report)
        except WorkerDiedError as death:
            if not reached.is_set():
                raise
            raise JobTimedOutError(
                f"{job} was ended because it took longer than trainer.worker_timeout_minutes={timeout_seconds / 60:g}; "
                f"its log is {self.log}"
            ) from death
        finally:
            timer.cancel()

    def _end_at_limit(self, reached: threading.Event) -> None:
        reached.set()
        self.process.kill()

    def _call(self, job: str, arguments: dict[str, Any], report: Report) -> dict[str, Any]:
        self.owes_answer = True
        self._send({"job": job, "arguments": arguments})
        return self._receive(job, report)

    def _send(self, request: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise self._death() from error

    def _receive(self, job: str, report: Report) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.endswith("\n"):
                break  # it died in the middle of a word
            ((kind, value),) = json.loads(line).items()
            if kind == "progress":
                report(value)
                continue
            if kind == "out_of_memory":  # as if it had been killed: what it holds goes with it
                raise WorkerKilledError(f"the worker process ran out of memory; its log is {self.log}")
            self.owes_answer = False
            if kind == "result":
                return value
            if kind == "user_error":
                raise _user_error(value)
            if value["kind"] == WorkerKilledError.__name__:  # a process that it had started itself
                raise WorkerKilledError(value["message"])
            raise WorkerError(f"{job} failed: {value['kind']}: {value['message']}; its log is {self.log}")
        raise self._death()

    def _death(self) -> WorkerDiedError:
        code = self.process.wait()
        if code == -signal.SIGKILL:
            how = "was killed (signal 9), as happens when memory runs out"
            return WorkerKilledError(f"the worker process {how}; its log is {self.log}")
        how = f"ended with signal {-code}" if code < 0 else f"ended with exit code {code}"
        return WorkerDiedError(f"the worker process {how}; its log is {self.log}")

    def kill(self) -> None:
        """End the process at once, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def _user_error(value: dict[str, str]) -> UserError:
    kind = getattr(errors, value["kind"], UserError)
    error: UserError = kind(value["message"])
    return error


def _environment(threads: int) -> dict[str, str]:
    fixed = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    search_path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **fixed, "PYTHONPATH": search_path, "PYTHONUNBUFFERED": "1"}


class WorkerPool:
    """`size` workers; a call takes a free one, or waits for it. Safe to use from several threads."""

    def __init__(
        self,
        size: int,
        threads: int,
        log_folder: Path,
        preload: str | None = None,
        timeout_seconds: float | None = None,
    ) -> None:
        self.size = size
        self.threads = threads
        self._log_folder = log_folder
        self._preload = preload
        self._timeout_seconds = timeout_seconds
        self._is_closed = False
        self._lock = threading.Lock()
        self._all: set[Worker] = set()
        self._free: queue.Queue[Worker] = queue.Queue()
        for number in range(size):
            self._free.put(self._start(number))

    def _start(self, number: int) -> Worker:
        worker = Worker(self.threads, self._log_folder / f"worker-{number}.log", self._preload)
        self._all.add(worker)
        return worker

    def call(self, job: str, arguments: dict[str, Any], report: Report = lambda progress: None) -> dict[str, Any]:
        """Run a job on a free worker. One that dies is replaced, and the job tried once more if it had time left."""
        for attempt in range(1, _TRIES + 1):
            worker = self._free.get()
            try:
                self._check_open()
                return worker.call(job, arguments, report, self._timeout_seconds)
            except JobTimedOutError:
                raise  # it would take as long again
            except WorkerDiedError as death:
                self._check_open()  # or it was this process that killed it
                if attempt == _TRIES:
                    raise
                logger.warning("%s; the job is tried again", death)
            finally:
                self._free.put(self._living(worker))
        raise AssertionError("unreachable")

    def _check_open(self) -> None:
        if self._is_closed:
            raise PoolClosedError("the workers were ended")

    def _living(self, worker: Worker) -> Worker:
        with self._lock:
            if worker.process.poll() is None and not worker.owes_answer:
                return worker
            worker.kill()
            if self._is_closed:
                return worker  # for the next that waits, to find that it is closed
            self._all.discard(worker)
            return self._start(int(worker.log.stem.rpartition("-")[2]))

    def close(self) -> None:
        """End all workers; who waits for one gets a PoolClosedError."""
        with self._lock:
            self._is_closed = True
            for worker in self._all:
                if worker.owes_answer:
                    worker.process.kill()  # the thread that reads its answer closes its pipes
                else:
                    worker.kill()

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
