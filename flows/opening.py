"""Opening and closing a study: its lock, its workers, MLflow; and what is written when it does not end well."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import reporting
from flows.cluster import ClusterWorkers, check_installed, task_runner
from flows.energy_account import EnergyAccount
from flows.progress import Progress
from flows.study import Clock, Study, StudyFolder
from flows.translation import configured_meter
from modules.config import Settings
from modules.energy.grids import find_grid
from modules.energy.meter import metered
from modules.errors import HomeError, StudyError, UserError
from modules.store import Store, explained_write_errors
from modules.tracking.flattening import flattened
from modules.tracking.sink import MlflowSink, default_uri
from modules.workers.pool import WorkerPool

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner

_PRELOADED = "modules.training.trial"
_LEAST_SPACE = 16 * 2**20  # bytes; the databases of Prefect and MLflow take half of it


@contextmanager
def opened_study(
    settings: Settings, home: Path, command: str, tracked: bool = True, name: str | None = None
) -> Iterator[Study]:
    """A study with warm workers, held by this process; closed with its state written down, however it ends."""
    folder = StudyFolder(home, name or settings.study_name)
    _check_home(home)
    with folder.locked():
        store = Store(home / "store")
        store.remove_leftovers()
        if settings.fresh or not folder.has_begun(settings.content):
            folder.start_over(store)
        _claim(folder, settings)
        sink = _sink(settings, home) if tracked and settings.tracking.enabled else None
        with metered(configured_meter(settings)) as meter, open_workers(settings, home) as pool:
            energy = EnergyAccount(folder, meter, find_grid(settings.energy.country))
            study = Study(settings, home, folder, pool, sink, Progress(), Clock(folder), energy, command)
            study.progress.say(f"study {study.name} in {folder.path}")
            _say_crowding(study)
            try:
                yield study
            except BaseException as error:
                with suppress(HomeError):  # what is said is what came first
                    reporting.write_interrupted(study, error)
                if isinstance(error, Exception) and not isinstance(error, UserError):
                    _check_home(home)  # Prefect's server and other libraries do not say that the disk ran full
                raise
            finally:
                with suppress(HomeError):
                    study.clock.keep()
                    study.energy.keep()
                if sink is not None:
                    sink.close()


def _say_crowding(study: Study) -> None:
    """Trials that share cores slow each other down several times over; nothing else comes of it."""
    settings, cores = study.settings, len(os.sched_getaffinity(0))
    if settings.runner.kind != "processes":
        return
    threads, size = settings.trainer.threads or cores, study.pool.size
    fitting = f"trainer.threads={max(1, cores // (settings.runner.workers or cores))} fits"
    if size == 1 and cores > 1:
        study.progress.say(
            f"runner=processes has one worker, since a trial takes all {cores} cores: {fitting}", "yellow"
        )
    elif size * threads > cores:
        study.progress.say(
            f"{size} workers of {threads} threads on {cores} cores slow each other down: {fitting}", "yellow"
        )


def _check_home(home: Path) -> None:
    """HomeError where a study could not even begin, or could not go on."""
    with explained_write_errors(home):
        home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    if free < _LEAST_SPACE:
        raise HomeError(
            f"cannot write under {home}: {free / 2**20:.1f} MiB are free; a study needs at least "
            f"{_LEAST_SPACE / 2**20:.0f}: free some space or point ESPALIER_HOME to another disk"
        )


def _claim(folder: StudyFolder, settings: Settings) -> None:
    """Write down what the study is made of; StudyError where its name is taken by other settings."""
    kept = folder.read("settings.json")
    content = settings.content
    if kept is not None and _without_space(kept) != _without_space(content):
        ours, theirs = flattened(content), flattened(kept)
        key = next(name for name in {**theirs, **ours} if ours.get(name) != theirs.get(name))
        raise StudyError(
            f"study {folder.name!r} was begun with {key}={theirs.get(key, 'nothing')}, now it is "
            f"{ours.get(key, 'nothing')}; take another name with study=NAME, or start this one over with fresh=true"
        )
    if kept is None or not (folder.path / "overrides.json").exists():
        folder.write("overrides.json", {"overrides": list(settings.overrides)})
    folder.write("settings.json", content)


def _without_space(content: dict[str, Any]) -> dict[str, Any]:
    """A study goes on with another space of the same name: it finds again what is the same, and says what is not."""
    space = content["search"]["space"]
    return {**content, "search": {**content["search"], "space": space["name"] if space else None}}


def _sink(settings: Settings, home: Path) -> MlflowSink:
    sink = MlflowSink(settings.tracking.uri or default_uri(home), home / "artifacts", home)
    sink.open_in_background()
    return sink


def open_workers(settings: Settings, home: Path) -> WorkerPool | ClusterWorkers:
    """Warm workers, as many as the runner has, with the threads that each trial has."""
    trainer, cores = settings.trainer, len(os.sched_getaffinity(0))
    threads = trainer.threads or cores
    size, timeout_seconds = num_workers(settings), trainer.worker_timeout_minutes * 60
    if settings.runner.kind in ("dask", "ray"):
        check_installed(settings.runner.kind)
        return ClusterWorkers(
            size if settings.runner.address is None else None, threads, home / "logs", timeout_seconds
        )
    with explained_write_errors(home / "logs"):
        return WorkerPool(size, threads, home / "logs", _PRELOADED, timeout_seconds)


def configured_task_runner(settings: Settings) -> "Callable[[], TaskRunner[Any]] | None":
    """Prefect's, where trials run on a cluster."""
    if settings.runner.kind not in ("dask", "ray"):
        return None
    return task_runner(settings.runner.kind, num_workers(settings), settings.runner.address)


def num_workers(settings: Settings) -> int:
    """As many as the runner is told, or as the cores of this machine are enough for."""
    cores = len(os.sched_getaffinity(0))
    return settings.runner.workers or max(1, cores // (settings.trainer.threads or cores))
