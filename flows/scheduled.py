"""What a schedule, Prefect's pages or its command line start: a study from overrides, which are data.

Imported by Prefect's own processes, and by nothing else of this program's: it has to have Prefect to be a flow at all.
"""

import logging
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prefect import State, flow
from prefect.runtime import deployment, flow_run
from prefect.states import Completed, Failed

from flows.commands import as_typed
from flows.experiment import run_study
from flows.retraining import retrain
from flows.schedule import zone_of
from flows.study import StudyFolder
from modules.config import Settings, check_from_afar, home_folder, resolve
from modules.errors import InternalError, UserError

_TALKATIVE = ("prefect.engine", "prefect.flow_engine", "prefect.flow_runs")
_TRIES, _SECONDS_BETWEEN = 3, 10.0


@flow(name="espalier scheduled study", validate_parameters=True, persist_result=False)
def scheduled_study(overrides: list[str], retraining: bool = False, timezone: str = "UTC") -> State[Any]:
    """One study. A wrong input fails at once, in a sentence; another fault is tried again, going on with the study."""
    try:
        check_from_afar(overrides)
        settings = named(resolve(overrides), home_folder(), zone_of(timezone))
    except UserError as error:
        return _failed(str(error))
    for attempt in range(1, _TRIES + 1):
        try:
            return Completed(message=_run(settings, overrides, retraining))
        except UserError as error:
            return _failed(str(error))
        except (InternalError, OSError) as error:
            if attempt == _TRIES:
                return _failed(f"{type(error).__name__}: {error}")
            settings = settings.updated(fresh=False)  # what it started over is there now
            time.sleep(_SECONDS_BETWEEN)
    raise AssertionError("unreachable")


def _failed(sentence: str) -> State[Any]:
    """Failed, with the sentence where a person looks; Prefect would add a traceback of its own engine to it."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    print(f"espalier: {sentence}", file=sys.stderr, flush=True)
    return Failed(message=sentence)


def _run(settings: Settings, overrides: list[str], retraining: bool) -> str:
    command = as_typed(overrides)
    if retraining:
        return retrain(settings, home_folder(), command)
    run_study(settings, command)
    return f"study {settings.study_name}"


def named(settings: Settings, home: Path, zone: ZoneInfo) -> Settings:
    """With the name of the schedule and when the run was due, so that a run that is tried again is the same study."""
    if settings.study is not None:
        return settings
    scheduled: datetime = flow_run.scheduled_start_time
    due = datetime.fromtimestamp(scheduled.timestamp(), zone)
    again = "-2" if due.fold else ""  # in the hour that comes twice as summer time ends
    name = f"{deployment.name or settings.data.name}-{due:%Y-%m-%dT%H%M}{again}"
    return settings.updated(study=name if _is_free(name, settings, home) else f"{name}-{settings.digest[:8]}")


def _is_free(name: str, settings: Settings, home: Path) -> bool:
    kept = StudyFolder(home, name).read("settings.json")
    return kept is None or kept == settings.content
