"""Shows studies in MLflow: written from the store, at once or again, never the place where anything is kept."""

import json
import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from modules.records import DataRecord
from modules.tracking import database, registry
from modules.tracking.flattening import LONGEST_VALUE, cut
from modules.tracking.measures import Measure, curve_measures, final_figures, final_measures
from modules.tracking.quiet import quiet
from modules.tracking.records import StudyEnd, StudyRun, StudyState, TrialRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

logger = logging.getLogger(__name__)

_METRICS_A_CALL, _TEXTS_A_CALL = 800, 100  # MLflow takes 1000 entries in all
_LONGEST_TAG = 5000
_LOCKED_TRIES = 3
_STATUS: dict[StudyState, str] = {
    "running": "RUNNING",
    "completed": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}
# So that MLflow's pages open on training runs; without it they guess, and show those of chat programs.
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
# A view of the table of runs with the columns that one wants first, in the form in which MLflow's pages save theirs.
_VIEW = "espalier"
_COLUMNS = (
    *(f"metrics.`{name}`" for name in ("test/error", "confirm/error", "steer/error", "steer/loss")),
    *(f"metrics.`{name}`" for name in ("model/params", "study/seconds", "study/energy_wh")),
    "tags.`espalier.edit`",
)

_STUDY, _TRIAL = "espalier.study", "espalier.trial"
_CONTENT = "espalier.content"  # written last: the run is whole, and of this record
_RESULT = "espalier.result"  # the measurements that a run holds; other measurements need another run


@dataclass
class _KnownStudy:
    experiment: str
    run: str
    data: DataRecord
    trials: dict[str, str] = field(default_factory=dict)  # trial key -> run
    contents: dict[str, str] = field(default_factory=dict)  # trial key -> digest of the TrialRun that the run holds


def default_uri(home: Path) -> str:
    """Where MLflow is if no configuration says so: where its own variable says, or under the home."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"


class MlflowSink:
    """Writes runs under a tracking URI. Nothing it does raises: the first fault is one warning, then it stays off.

    `artifacts` is where a database on this machine keeps artifacts (a server keeps its own); `home` is ESPALIER_HOME.
    All calls are idempotent and may come from any thread.
    """

    def __init__(self, uri: str, artifacts: Path, home: Path) -> None:
        self.uri, self.artifacts, self.home = uri, artifacts.absolute(), home
        self._client: MlflowClient | None = None
        self._studies: dict[str, _KnownStudy] = {}
        self._is_on = True
        self._lock = threading.RLock()

    @property
    def is_on(self) -> bool:
        """Whether nothing has failed so far."""
        return self._is_on

    def open_in_background(self) -> None:
        """Import MLflow and make its database (3 to 5 seconds) while something else goes on."""
        threading.Thread(target=self._guarded, args=(self._open,), name="open-mlflow", daemon=True).start()

    def write_study(self, study: StudyRun) -> None:
        """Make or find the study's run and mark it running."""
        self._guarded(self._write_study, study)

    def write_trial(self, study: str, trial: TrialRun) -> None:
        """Make or complete the trial's run under its study's (which `write_study` has written before)."""
        self._guarded(self._write_trial, study, trial)

    def finish_study(self, end: StudyEnd, trials: AbstractSet[str] | None = None) -> None:
        """Give the study's run its end, its champion's figures and its artifacts.

        `trials` are the keys of all that belong to it: runs of others, as from before it was started over, go.
        """
        self._guarded(self._finish_study, end, trials)

    def register_bundle(self, study: str, bundle: registry.RegisteredBundle) -> None:
        """Put a study's bundle into the registry, under the study's run."""
        self._guarded(self._register_bundle, study, bundle)

    def point_alias(self, model: str, version: str, alias: str) -> None:
        """Let an alias of the registry follow a bundle."""
        self._guarded(self._point_alias, model, version, alias)

    def rebuild(self, study: StudyRun, trials: Sequence[TrialRun], end: StudyEnd | None) -> None:
        """Write a whole study again, also after a fault; runs of trials that are no longer part of it go."""
        with self._lock:
            self._is_on = True
            self._studies.pop(study.name, None)
            self._guarded(self._rebuild, study, trials, end)

    def close(self) -> None:
        """Let go of the database; a later call opens it again."""
        with self._lock:
            if self._client is not None:
                database.dispose_engines(self._client)
            self._client = None
            self._studies.clear()

    def _guarded(self, write: Callable[..., None], *arguments: Any) -> None:
        with self._lock:
            if not self._is_on:
                return
            try:
                self._open()
                with quiet():
                    _retrying_while_locked(write, *arguments)
            except Exception as fault:  # whatever breaks in showing must not break what is shown
                self._is_on = False
                logger.warning(
                    "MLflow at %s could not be written (%s); the run goes on without it, all is in the store",
                    without_password(self.uri),
                    without_password(_first_line(fault)),
                )
                logger.debug("the fault of MLflow in full", exc_info=fault)

    def _open(self) -> None:
        if self._client is not None:
            return
        with quiet():
            from mlflow import MlflowClient

            path = database.file_of(self.uri)
            if path is not None:
                database.make_ready(path)
            client = MlflowClient(tracking_uri=self.uri)
            client.search_experiments(max_results=1)  # brings an old database up to date
            if path is not None:
                database.follow_moved_artifacts(path, self.artifacts)
                database.commit_into_memory(client)
        self._client = client

    @property
    def _mlflow(self) -> "MlflowClient":
        assert self._client is not None, "opened by _guarded"
        return self._client

    def _write_study(self, study: StudyRun) -> None:
        experiment = self._experiment(study.data.name)
        tags = {
            _STUDY: study.name,
            "espalier.kind": "study",
            "espalier.data": study.data.digest,
            "mlflow.runName": study.name,
            "mlflow.source.name": study.command,
            "mlflow.source.type": "LOCAL",
        }
        runs = list(self._runs_of(experiment, study.name))
        run = next((run for run in runs if _TRIAL not in run.data.tags), None)
        if run is not None and _contradicts(run, study.parameters):  # same name, another configuration: it starts over
            self._delete(run.info.run_id for run in runs)
            run, runs = None, []
        if run is None:
            run = self._mlflow.create_run(experiment, _milliseconds(study.started_at), tags, study.name)
            self._log_data(run, study.data)
        self._log(run, [], study.parameters, tags)
        self._mlflow.update_run(run.info.run_id, status="RUNNING")
        tags_of = {run.info.run_id: run.data.tags for run in runs if _TRIAL in run.data.tags}
        self._studies[study.name] = _KnownStudy(
            experiment,
            run.info.run_id,
            study.data,
            trials={tags[_TRIAL]: run_id for run_id, tags in tags_of.items()},
            contents={tags[_TRIAL]: tags[_CONTENT] for tags in tags_of.values() if _CONTENT in tags},
        )

    def _write_trial(self, study: str, trial: TrialRun) -> None:
        known, key = self._known(study), trial.result.key
        if known.contents.get(key) == trial.content_digest:
            return
        run = self._mlflow.get_run(known.trials[key]) if key in known.trials else None
        if run is not None and not _is_completed_by(run, trial):
            self._delete([run.info.run_id])
            run = None
        tags = _trial_tags(study, known.run, trial)
        measures = list(final_measures(trial))
        if run is None:
            run = self._new_trial(known, trial, tags)
            measures += curve_measures(trial)
        else:
            logged = run.data.metrics
            measures = [measure for measure in measures if measure.name not in logged]
        self._log(run, measures, trial.parameters, tags | {_CONTENT: trial.content_digest})
        known.contents[key] = trial.content_digest

    def _new_trial(self, known: _KnownStudy, trial: TrialRun, tags: dict[str, str]) -> "Run":
        result = trial.result
        run = self._mlflow.create_run(known.experiment, _milliseconds(result.started_at), tags, trial.name)
        known.trials[result.key] = run.info.run_id
        self._log_data(run, known.data)
        self._mlflow.set_terminated(run.info.run_id, end_time=_milliseconds(result.finished_at))
        return run

    def _finish_study(self, end: StudyEnd, trials: AbstractSet[str] | None = None) -> None:
        known = self._known(end.name)
        if trials is not None:
            self._drop_others(known, trials)
        run = self._mlflow.get_run(known.run)
        figures = {"study/seconds": end.seconds, "study/trials": float(len(known.trials))}
        figures |= final_figures(end.champion) if end.champion else {}
        # Step 0 for all: where a resumed study ends with another champion, the later figure is the one that is shown.
        measures = [Measure(name, value, 0, end.finished_at) for name, value in {**figures, **end.metrics}.items()]
        measures = [measure for measure in measures if run.data.metrics.get(measure.name) != measure.value]
        for folder, files in end.artifacts.items():
            for file in files:
                if (self.home / file).exists():  # not every study has each
                    self._mlflow.log_artifact(known.run, str(self.home / file), folder or None)
        tags: dict[str, str] = {"espalier.state": end.state}
        tags |= {"espalier.champion": end.champion.result.key} if end.champion else {}
        tags |= {"mlflow.note.content": end.description} if end.description else {}
        self._log(run, measures, {}, tags)
        self._mlflow.set_terminated(known.run, _STATUS[end.state], _milliseconds(end.finished_at))

    def _register_bundle(self, study: str, bundle: registry.RegisteredBundle) -> None:
        registry.register(self._mlflow, self._known(study).run, bundle)

    def _point_alias(self, model: str, version: str, alias: str) -> None:
        registry.point_alias(self._mlflow, model, version, alias)

    def _rebuild(self, study: StudyRun, trials: Sequence[TrialRun], end: StudyEnd | None) -> None:
        self._write_study(study)
        for trial in trials:
            self._write_trial(study.name, trial)
        self._drop_others(self._known(study.name), {trial.result.key for trial in trials})
        if end is not None:
            self._finish_study(end)

    def _drop_others(self, known: _KnownStudy, trials: AbstractSet[str]) -> None:
        for key in sorted(known.trials.keys() - trials):
            self._delete([known.trials[key]])
            del known.trials[key]
            known.contents.pop(key, None)

    def _known(self, study: str) -> _KnownStudy:
        if study not in self._studies:
            raise LookupError(f"study {study} was not begun here")
        return self._studies[study]

    def _experiment(self, name: str) -> str:
        found = self._mlflow.get_experiment_by_name(name)
        experiment = self._new_experiment(name) if found is None else self._living(found)
        self._offer_view(experiment, found.tags if found else {})
        return experiment

    def _offer_view(self, experiment: str, tags: Mapping[str, str]) -> None:
        """Ours among the saved views, and a description that links to it; what a person has written instead stays."""
        link = f"#/experiments/{experiment}/runs?viewStateShareKey={_VIEW}"
        state = json.dumps({"selectedColumns": _COLUMNS})
        view = {"name": "Studies and trials", "createdAt": _milliseconds(time.time()), "state": state}
        wanted = {
            f"mlflow.sharedViewState.{_VIEW}": json.dumps(view),
            "mlflow.note.content": f"[Studies and trials with errors, losses, parameters, time and energy]({link})",
        }
        for key in wanted.keys() - tags.keys():
            self._mlflow.set_experiment_tag(experiment, key, wanted[key])

    def _new_experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        location = (self.artifacts / quote(name, safe="")).as_uri() if _is_database(self.uri) else None
        try:
            return self._mlflow.create_experiment(name, artifact_location=location, tags=_EXPERIMENT_TAGS)
        except MlflowException:  # another study made it at the same moment
            found = self._mlflow.get_experiment_by_name(name)
            if found is None:
                raise
            return self._living(found)

    def _living(self, experiment: "Experiment") -> str:
        if experiment.lifecycle_stage == "deleted":
            self._mlflow.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def _runs_of(self, experiment: str, study: str) -> Iterator["Run"]:
        page = None
        while True:
            found = self._mlflow.search_runs([experiment], f"tags.`{_STUDY}` = '{study}'", page_token=page)
            yield from found
            page = found.token
            if not page:
                return

    def _delete(self, runs: Iterable[str]) -> None:
        for run in runs:
            self._mlflow.delete_run(run)

    def _log_data(self, run: "Run", data: DataRecord) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=data.name,
            digest=data.digest[:36],
            source_type="local",
            source=json.dumps({"uri": data.folder}),
            profile=json.dumps(
                {"images": data.num_images, "classes": len(data.classes), "image_shape": data.image_shape}
            ),
        )
        self._mlflow.log_inputs(run.info.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def _log(
        self, run: "Run", measures: Sequence[Measure], parameters: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        """All that is new, in as few calls as MLflow's limits allow; tags come last, of which one says: complete."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(name, value, _milliseconds(at), step) for name, value, step, at in measures]
        params = [Param(name, cut(text, LONGEST_VALUE)) for name, text in parameters.items()]
        params = [param for param in params if param.key not in run.data.params]
        labels = [RunTag(name, cut(text, _LONGEST_TAG)) for name, text in tags.items()]
        labels = [label for label in labels if run.data.tags.get(label.key) != label.value]
        assert len(labels) <= _TEXTS_A_CALL, "a study or trial has some twenty tags"
        while metrics or params:
            last = len(metrics) <= _METRICS_A_CALL and len(params) <= _TEXTS_A_CALL
            self._mlflow.log_batch(
                run.info.run_id, metrics[:_METRICS_A_CALL], params[:_TEXTS_A_CALL], labels if last else []
            )
            metrics, params, labels = metrics[_METRICS_A_CALL:], params[_TEXTS_A_CALL:], [] if last else labels
        if labels:
            self._mlflow.log_batch(run.info.run_id, tags=labels)


def _trial_tags(study: str, parent: str, trial: TrialRun) -> dict[str, str]:
    tags = {
        _STUDY: study,
        _TRIAL: trial.result.key,
        _RESULT: trial.result.content_digest,
        "espalier.kind": "trial",
        "espalier.role": trial.role,
        "espalier.seed": str(trial.result.seed),
        "espalier.recipe": trial.result.recipe,
        "espalier.weights": trial.result.weights_sha256,
        "espalier.stopped_by": trial.result.stopped_by,
        "espalier.reused": str(trial.reused).lower(),
        "mlflow.parentRunId": parent,
        "mlflow.runName": trial.name,
        "mlflow.source.name": "espalier",
        "mlflow.source.type": "LOCAL",
    }
    if trial.generation is not None:
        tags["espalier.generation"] = str(trial.generation)
    if trial.edit is not None:
        tags["espalier.edit"] = trial.edit
    return tags


def _contradicts(run: "Run", parameters: Mapping[str, str]) -> bool:
    """Whether a parameter differs from what was logged, which MLflow does not let one change."""
    logged = run.data.params
    return any(logged.get(name, text) != cut(text, LONGEST_VALUE) for name, text in parameters.items())


def _is_completed_by(run: "Run", trial: TrialRun) -> bool:
    """Whether the run was written to its end and holds nothing that the trial says otherwise."""
    logged = run.data.metrics
    return (
        _CONTENT in run.data.tags
        and run.data.tags.get(_RESULT) == trial.result.content_digest
        and not _contradicts(run, trial.parameters)
        and all(_are_equal(logged.get(name, value), value) for name, value in final_figures(trial).items())
    )


def _are_equal(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _milliseconds(unix_seconds: float) -> int:
    return round(unix_seconds * 1000)


def _first_line(fault: Exception) -> str:
    lines = str(fault).strip().splitlines()
    return cut(lines[0], 200) if lines else type(fault).__name__


def _retrying_while_locked(write: Callable[..., None], *arguments: Any) -> None:
    """SQLite waits 20 seconds for another writer; give it some more turns before giving up."""
    for turn in range(_LOCKED_TRIES):
        try:
            return write(*arguments)
        except Exception as fault:
            if "database is locked" not in str(fault) or turn == _LOCKED_TRIES - 1:
                raise
            time.sleep(0.5 * 2**turn)
    return None


def without_password(text: str) -> str:
    """The text without what stands between // and @ in addresses."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def _is_database(uri: str) -> bool:
    """Whether MLflow is asked directly, so that artifacts are ours to keep; a server keeps its own."""
    return re.match(r"(sqlite|postgresql|mysql|mssql)(\+\w+)?:", uri) is not None
