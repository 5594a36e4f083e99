"""`espalier sync` makes MLflow's runs from what the store and the studies hold, once."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from pydantic import ValidationError

from flows import registering, syncing
from flows.cli import main
from flows.reporting import write_interrupted
from flows.study import StudyFolder
from flows.syncing import kept_trials
from modules.deployment.promotions import Promotion, promotions_path
from modules.errors import DeploymentError
from modules.records import DataRecord, TrialResult
from modules.store import Store, write_text
from modules.tracking.records import StudyEnd, StudyRun
from modules.tracking.registry import RegisteredBundle
from modules.tracking.sink import MlflowSink, default_uri

DATA = DataRecord(
    name="digits",
    digest="d" * 32,
    test_digest="e" * 32,
    folder="store/data/dd/" + "d" * 32,
    classes=("0", "1"),
    image_shape=(1, 8, 8),
    num_images={"train": 10},
    num_groups={"train": 10},
    mean=(0.1,),
    std=(0.3,),
)
RECIPE = '{"architecture": {"nodes": 3}, "learning_rate": 0.01, "optimizer": {"target": "torch.optim.AdamW"}}'


def result(number: int) -> TrialResult:
    return TrialResult(
        key=f"{number:032x}",
        recipe="r" * 32,
        seed=number,
        state_sha256="a" * 64,
        weights_sha256="b" * 64,
        samples=100,
        epochs=1.0,
        updates=2,
        params=10,
        flops=20,
        seconds=3.0,
        started_at=1_700_000_000.0 + number,
        finished_at=1_700_000_003.0 + number,
        peak_memory_bytes=1,
        stopped_by="samples",
        steer_loss=0.5,
        steer_error=0.1,
        curve=(),
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    store, folder = Store(tmp_path / "store"), StudyFolder(tmp_path, "mine")
    run = StudyRun(name="mine", data=DATA, command="espalier run", started_at=1_700_000_000.0, parameters={"seed": "0"})
    folder.write("study_run.json", run.model_dump(mode="json"))
    for number, role in enumerate(("baseline", "control", "edit")):
        put(store, result(number))
        place = {"role": role, "generation": 1 if number else None, "edit": "widen_layer" if role == "edit" else None}
        folder.note_trial(result(number).key, **place)
    StudyFolder(tmp_path, "begun").write("settings.json", {})
    return tmp_path


def test_what_earlier_versions_kept_besides_was_empty() -> None:
    run = StudyRun(name="mine", data=DATA, command="espalier run", started_at=0.0).model_dump(mode="json")
    assert StudyRun.model_validate({**run, "tags": {}, "description": ""}).model_dump(mode="json") == run
    with pytest.raises(ValidationError, match="tags"):
        StudyRun.model_validate({**run, "tags": {"mine": "yes"}})


def put(store: Store, trial: TrialResult) -> None:
    def fill(folder: Path) -> None:
        (folder / "recipe.json").write_text(RECIPE)
        (folder / "result.json").write_text(trial.model_dump_json())

    store.put("trials", trial.key, {"key": trial.key}, fill)


def runs(home: Path) -> dict[str, Run]:
    client = MlflowClient(tracking_uri=f"sqlite:///{home}/mlflow.db")
    experiment = client.get_experiment_by_name("digits")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def names(home: Path) -> list[str]:
    return sorted(runs(home))


class Written:
    """What would be written into MLflow."""

    is_on = True

    def __init__(self) -> None:
        self.rebuilt: list[str] = []
        self.bundles: list[tuple[str, RegisteredBundle]] = []
        self.aliases: list[tuple[str, str, str]] = []

    def rebuild(self, study: StudyRun, trials: object, end: object) -> None:
        self.rebuilt.append(study.name)

    def register_bundle(self, study: str, bundle: RegisteredBundle) -> None:
        self.bundles.append((study, bundle))

    def point_alias(self, model: str, version: str, alias: str) -> None:
        self.aliases.append((model, version, alias))

    def close(self) -> None:
        pass


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    found = Written()
    monkeypatch.setattr(syncing, "MlflowSink", lambda *_: found)
    return found


def deploy(home: Path, study: str, version: str) -> None:
    bundle = home / "bundles" / "digits" / version
    write_text(bundle / "MODEL_CARD.md", "a card")
    StudyFolder(home, study).write("summary.json", {"state": "completed", "bundle": f"bundles/digits/{version}"})


def manifest_of(bundle: Path) -> Any:
    if bundle.name == "altered":
        raise DeploymentError("the bundle was altered")
    return SimpleNamespace(model=bundle.parent.name, version=bundle.name, image_shape=(8, 8, 1), classes=("0", "1"))


def test_runs_come_back_without_doubles_and_a_lost_trial_goes(home, capsys):
    expected = ["baseline s0", "g1 control s1", "g1 widen_layer s2", "mine"]
    for _ in range(2):
        assert main(["sync"]) == 0
        assert sorted(capsys.readouterr().out.splitlines()) == ["begun: has not trained anything yet", "mine: 3 trials"]
        assert names(home) == expected
    Store(home / "store").remove("trials", result(1).key)
    assert main(["sync", "mine"]) == 0
    assert names(home) == [name for name in expected if "control" not in name]


def test_parameters_are_those_of_the_trials_recipe(home):
    trials = kept_trials(StudyFolder(home, "mine"), Store(home / "store"))
    assert [trial.role for trial in trials] == ["baseline", "control", "edit"]
    assert trials[0].parameters == {"learning_rate": "0.01", "optimizer.target": "torch.optim.AdamW"}


def test_of_a_try_its_last_trial_is_shown_with_where_it_lies_in_its_space(home):
    folder = StudyFolder(home, "mine")
    for number in (0, 1):
        place = {"role": "sweep", "generation": None, "edit": "try 0"}
        folder.note_trial(result(number).key, **place, parameters={"training.learning_rate": "0.01"})
    trials = kept_trials(folder, Store(home / "store"))
    assert [(trial.role, trial.result.seed) for trial in trials] == [("edit", 2), ("sweep", 1)]
    assert trials[1].parameters["training.learning_rate"] == trials[1].parameters["learning_rate"] == "0.01"


def test_the_last_trial_of_a_try_is_that_which_was_noted_last(home):
    folder, parameters = StudyFolder(home, "mine"), {"training.learning_rate": "0.01"}
    for number, name in ((0, "try 3"), (1, "try 5"), (0, "try 5")):  # its space has changed in between
        folder.note_trial(result(number).key, role="sweep", generation=None, edit=name, parameters=parameters)
    for read in (folder, StudyFolder(home, "mine")):
        trials = kept_trials(read, Store(home / "store"))
        assert [(trial.role, trial.result.seed) for trial in trials] == [("edit", 2), ("sweep", 0)]


def test_a_study_that_is_running_writes_itself(home, capsys):
    with StudyFolder(home, "mine").locked():
        assert main(["sync", "mine"]) == 0
    assert capsys.readouterr().out == "mine: is running, and writes itself\n"


def test_a_study_cannot_start_while_it_is_written(home, written, monkeypatch):
    held = []
    monkeypatch.setattr(syncing, "kept_trials", lambda folder, store: held.append(folder.is_running) or [])
    assert main(["sync", "mine"]) == 0
    assert (held, written.rebuilt) == ([True], ["mine"])


def test_a_study_that_was_killed_is_not_shown_as_running(home):
    assert main(["sync", "mine"]) == 0
    run = runs(home)["mine"]
    assert (run.info.status, run.info.end_time) == ("KILLED", result(2).finished_at * 1000)  # its last sign of life
    StudyFolder(home, "mine").write("clock.json", {"started_at": 1_700_000_000.0, "seconds": 60.0})
    assert main(["sync", "mine"]) == 0
    run = runs(home)["mine"]
    assert (run.info.status, run.info.end_time) == ("KILLED", 1_700_000_060_000)
    assert run.data.metrics["study/seconds"] == 60


def test_a_study_that_had_ended_is_shown_so_after_its_command_was_interrupted(home):
    folder = StudyFolder(home, "mine")
    end = StudyEnd(name="mine", state="completed", finished_at=1_700_000_060.0, seconds=60.0)
    folder.write("summary.json", {"state": "completed"})
    folder.write("study_end.json", end.model_dump(mode="json"))
    sink = MlflowSink(default_uri(home), home / "artifacts", home)
    sink.write_study(StudyRun.model_validate(folder.read("study_run.json")))
    assert runs(home)["mine"].info.status == "RUNNING"
    study = SimpleNamespace(folder=folder, sink=sink, is_open=True, is_tracked=False)
    write_interrupted(study, KeyboardInterrupt())  # before it was shown again
    assert runs(home)["mine"].info.status == "RUNNING"
    study.is_tracked = True
    write_interrupted(study, KeyboardInterrupt())
    assert sink.is_on
    sink.close()
    assert (runs(home)["mine"].info.status, runs(home)["mine"].info.end_time) == ("FINISHED", 1_700_000_060_000)


def test_bundles_and_aliases_of_the_registry_come_back(home, written, monkeypatch, capsys):
    monkeypatch.setattr(registering, "manifest_of", manifest_of)
    StudyFolder(home, "later").write("study_run.json", StudyFolder(home, "mine").read("study_run.json"))
    deploy(home, "mine", "aaa")
    deploy(home, "later", "bbb")
    promoted = Promotion(
        at=1.0,
        action="promoted",
        model="digits",
        version="aaa",
        previous=None,
        sums="",
        study="mine",
        reasons=("first",),
    )
    write_text(promotions_path(home), promoted.model_dump_json() + "\n")
    assert main(["sync", "mine"]) == 0
    ((study, bundle),) = written.bundles
    assert (study, bundle.model, bundle.version, bundle.num_classes) == ("mine", "digits", "aaa", 2)
    assert (bundle.model_file.name, bundle.description) == ("model.onnx", "a card")
    assert written.aliases == [("digits", "bbb", "challenger"), ("digits", "aaa", "champion")]
    capsys.readouterr()
    deploy(home, "later", "altered")
    assert main(["sync", "later"]) == 0
    assert capsys.readouterr().out == "later: 0 trials, without its bundle: the bundle was altered\n"


def test_a_server_that_is_not_there_and_a_study_that_is_not(home, capsys, monkeypatch, caplog):
    assert main(["sync", "yours"]) == 2
    assert "unknown study 'yours'" in capsys.readouterr().err
    for option in ("--tracking-uri", "--uri"):  # the second is what it was called before
        assert main(["sync", "mine", option, "http://user:secret@127.0.0.1:9"]) == 2
        said = capsys.readouterr().err
        assert "could not be written into MLflow at http://127.0.0.1:9" in said
        assert "secret" not in said + caplog.text
    assert main(["sync", "--help"]) == 0
    said = capsys.readouterr().out
    assert "--tracking-uri" in said
    assert "--uri" not in said
