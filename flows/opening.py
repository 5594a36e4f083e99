"""Opening and closing a study: its lock, its workers, MLflow; and what is written when it does not end well."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows import reporting
from flows.progress import Progress
from flows.study import Clock, Study, StudyFolder
from modules.config import Settings
from modules.store import Store, explained_write_errors
from modules.tracking.sink import MlflowSink
from modules.workers.pool import WorkerPool

_PRELOADED = "modules.training.trial"


@contextmanager
def opened_study(settings: Settings, home: Path, command: str, tracked: bool = True) -> Iterator[Study]:
    """A study with warm workers, held by this process; closed with its state written down, however it ends."""
    folder = StudyFolder(home, settings.study_name)
    with explained_write_errors(home):
        home.mkdir(parents=True, exist_ok=True)
    with folder.locked():
        if settings.fresh:
            folder.start_over(Store(home / "store"))
        folder.write("settings.json", settings.model_dump(mode="json"))
        sink = _sink(settings, home) if tracked and settings.tracking.enabled else None
        with _workers(settings, home) as pool:
            study = Study(settings, home, folder, pool, sink, Progress(), Clock(folder), command)
            study.progress.say(f"study {study.name} in {folder.path}")
            try:
                yield study
            except BaseException as error:
                reporting.write_interrupted(study, error)
                raise
            finally:
                study.clock.keep()
                if sink is not None:
                    sink.close()


def _sink(settings: Settings, home: Path) -> MlflowSink:
    uri = settings.tracking.uri or f"sqlite:///{home / 'mlflow.db'}"
    sink = MlflowSink(uri, home / "artifacts", home)
    sink.open_in_background()
    return sink


def _workers(settings: Settings, home: Path) -> WorkerPool:
    trainer = settings.trainer
    return WorkerPool(
        size=1,
        threads=trainer.threads or len(os.sched_getaffinity(0)),
        log_folder=home / "logs",
        preload=_PRELOADED,
        timeout_seconds=trainer.worker_timeout_minutes * 60,
    )
