"""`espalier sync`: writes studies into MLflow again, from the store and what the studies wrote down."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from flows.registering import bundle_of_study, point_aliases, registered
from flows.study import StudyFolder
from modules.errors import DeploymentError, StudyError
from modules.records import TrialResult
from modules.store import Store
from modules.tracking.flattening import flattened
from modules.tracking.records import StudyEnd, StudyRun, TrialRun
from modules.tracking.sink import MlflowSink, default_uri, without_password

_PARAMETERS = "parameters"  # a trial of a try is noted with where it lies in its space


def sync_studies(names: list[str], home: Path, uri: str | None) -> None:
    """Each study and its bundle as it is, without doubles and what is no part of it any more; says what it wrote."""
    sink = MlflowSink(uri or default_uri(home), home / "artifacts", home)
    try:
        for name in names:
            print(_sync(StudyFolder(home, name), sink), flush=True)
        point_aliases(home, sink)
    finally:
        sink.close()


def _sync(folder: StudyFolder, sink: MlflowSink) -> str:
    """Hold the study meanwhile, or one that starts would write the same runs at the same time."""
    with ExitStack() as held:
        try:
            held.enter_context(folder.locked())
        except StudyError:
            return f"{folder.name}: is running, and writes itself"
        return _write_again(folder, sink)


def _write_again(folder: StudyFolder, sink: MlflowSink) -> str:
    begun = folder.read("study_run.json")
    if begun is None:
        return f"{folder.name}: has not trained anything yet"
    study = StudyRun.model_validate(begun)
    trials = kept_trials(folder, Store(folder.home / "store"))
    sink.rebuild(study, trials, kept_end(folder) or _killed_end(folder, study, trials))
    note = _register_again(folder, sink)
    if not sink.is_on:
        raise StudyError(
            f"study {folder.name} could not be written into MLflow at {without_password(sink.uri)}; see the line above"
        )
    return f"{folder.name}: {len(trials)} trials{note}"


def _register_again(folder: StudyFolder, sink: MlflowSink) -> str:
    """What there is to say if the study's bundle does not go into the registry."""
    bundle = bundle_of_study(folder)
    if bundle is None:
        return ""
    try:
        sink.register_bundle(folder.name, registered(bundle))
    except DeploymentError as error:
        return f", without its bundle: {error}"
    return ""


def kept_trials(folder: StudyFolder, store: Store) -> list[TrialRun]:
    """What the study noted of its trials, with the results that the store has of them; of a try the last one alone."""
    tries = {_try_of(noted): key for key, noted in folder.trials.items() if _PARAMETERS in noted}  # the last ones
    runs = []
    for key, noted in folder.trials.items():
        entry = store.find("trials", key) if tries.get(_try_of(noted), key) == key else None
        if entry is not None:
            result = TrialResult.model_validate_json(entry.file("result.json").read_text())
            recipe = json.loads(entry.file("recipe.json").read_text())
            parameters = flattened({name: value for name, value in recipe.items() if name != "architecture"})
            parameters |= noted.get(_PARAMETERS, {})
            runs.append(TrialRun.model_validate({**noted, "result": result, _PARAMETERS: parameters}))
    return runs


def _try_of(noted: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(noted.get(name) for name in ("role", "generation", "edit"))


def kept_end(folder: StudyFolder) -> StudyEnd | None:
    """How the study ended, or was interrupted."""
    end = folder.read("study_end.json")
    return None if end is None else StudyEnd.model_validate(end)


def _killed_end(folder: StudyFolder, study: StudyRun, trials: list[TrialRun]) -> StudyEnd:
    """Of a study that nobody runs and that could not write down its end: its last sign of life."""
    clock = folder.read("clock.json") or {"started_at": study.started_at, "seconds": 0.0}
    signs = [clock["started_at"] + clock["seconds"], *(trial.result.finished_at for trial in trials)]
    return StudyEnd(name=study.name, state="interrupted", finished_at=max(signs), seconds=clock["seconds"])
