"""Processes that train one network together, each with a device of its own: a worker and the siblings it starts.

The worker that was asked for a job is the first of them. It has its siblings train along: only the first looks,
reports, keeps checkpoints and stores. Siblings stay warm from job to job, and end with their worker as it does with
its parent.
"""

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.environments import LightningEnvironment
from torch import distributed

from modules.errors import UserError
from modules.records import Numerics
from modules.workers.pool import Worker

REVISION = 1

_HERE = "127.0.0.1"
_THREADS = "OMP_NUM_THREADS"
_SECONDS_TO_SAY_WHY = 5.0
_siblings: dict[int, Worker] = {}  # by rank

Call = Future[dict[str, Any]]


class Siblings(LightningEnvironment):
    """Tells Lightning that all processes are there already, and which of them this is."""

    @property
    def creates_processes_externally(self) -> bool:
        """They were started by the first."""
        return True

    def local_rank(self) -> int:
        """0: the first."""
        return this_rank()


def this_rank() -> int:
    """Of this process among those that train together; 0: the first, or alone."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def num_processes() -> int:
    """How many train together now."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def training_together(
    numerics: Numerics, home: Path, along: str, arguments: dict[str, Any], rank: int = 0, port: int = 0
) -> Iterator[None]:
    """Be one of `numerics.devices` processes that train together.

    The first has its siblings do the job `along`, whose arguments are the given ones, the `rank` of the sibling and
    the `port` where the first waits for it. A sibling's failure is raised in the first.
    """
    if numerics.devices == 1:
        yield
    elif rank > 0:
        store = distributed.TCPStore(_HERE, port, is_master=False)
        store.set(_ready(rank), "")
        with _group(numerics, rank, store):
            yield
    else:
        with _leading(numerics, home, along, arguments):
            yield


@contextmanager
def _leading(numerics: Numerics, home: Path, along: str, arguments: dict[str, Any]) -> Iterator[None]:
    store = distributed.TCPStore(_HERE, 0, is_master=True, wait_for_workers=False)  # at a free port
    ranks = range(1, numerics.devices)
    with ThreadPoolExecutor(len(ranks)) as threads:
        try:
            calls: list[Call] = []
            for rank in ranks:
                place = {"rank": rank, "port": store.port}
                calls.append(threads.submit(_ask, _sibling(rank, numerics, home), along, {**arguments, **place}))
            while not store.check([_ready(rank) for rank in ranks]):
                _raise_failure(calls, seconds=0.01)
            with _group(numerics, 0, store):
                yield from _with_reason(calls)
                wait(calls)
        except BaseException:
            _end_siblings()  # wherever in the training they are
            raise


def _with_reason(calls: list[Call]) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise  # it says itself what is wrong
    except Exception:
        _raise_failure(calls, _SECONDS_TO_SAY_WHY)  # where what broke is the connection to one that failed
        raise


def _raise_failure(calls: list[Call], seconds: float) -> None:
    for call in wait(calls, seconds, FIRST_EXCEPTION).done:
        call.result()


def _ask(sibling: Worker, job: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return sibling.call(job, arguments, lambda progress: None, timeout_seconds=None)
    except BaseException:
        sibling.kill()  # that closes its connections: nobody waits for it
        raise


def _sibling(rank: int, numerics: Numerics, home: Path) -> Worker:
    known = _siblings.get(rank)
    if known is None or known.process.poll() is not None:
        _siblings[rank] = Worker(_threads(numerics), home / "logs" / f"rank-{rank}.log")
    return _siblings[rank]


def _end_siblings() -> None:
    for sibling in _siblings.values():
        sibling.process.kill()
        sibling.process.wait()


def _threads(numerics: Numerics) -> int:
    """`trainer.threads` are those of a worker: its siblings share them."""
    return max(1, numerics.threads // numerics.devices)


@contextmanager
def _group(numerics: Numerics, rank: int, store: distributed.TCPStore) -> Iterator[None]:
    # Formed here and not by Lightning, which would do it by environment variables that stay, at a port that may be
    # taken by the time it is used.
    threads, environment = torch.get_num_threads(), os.environ.get(_THREADS)
    torch.set_num_threads(_threads(numerics))
    os.environ[_THREADS] = str(_threads(numerics))  # Lightning would set it to a number of its own
    backend = "nccl" if numerics.device == "cuda" else "gloo"
    try:
        distributed.init_process_group(backend, store=store, rank=rank, world_size=numerics.devices)
        yield
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
        torch.set_num_threads(threads)
        os.environ.pop(_THREADS)
        if environment is not None:
            os.environ[_THREADS] = environment


def _ready(rank: int) -> str:
    return f"rank {rank} is ready"
