"""`espalier sync` makes MLflow's runs from what the store and the studies hold, once."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from flows.cli import main
from flows.study import StudyFolder
from flows.syncing import kept_trials
from modules.records import DataRecord, TrialResult
from modules.store import Store
from modules.tracking.records import StudyRun

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


def put(store: Store, trial: TrialResult) -> None:
    def fill(folder: Path) -> None:
        (folder / "recipe.json").write_text(RECIPE)
        (folder / "result.json").write_text(trial.model_dump_json())

    store.put("trials", trial.key, {"key": trial.key}, fill)


def names(home: Path) -> list[str]:
    client = MlflowClient(tracking_uri=f"sqlite:///{home}/mlflow.db")
    experiment = client.get_experiment_by_name("digits")
    return sorted(run.info.run_name for run in client.search_runs([experiment.experiment_id]))


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
    assert [(trial.role, trial.result.seed) for trial in trials] == [("sweep", 1), ("edit", 2)]
    assert trials[0].parameters["training.learning_rate"] == trials[0].parameters["learning_rate"] == "0.01"


def test_a_study_that_is_running_writes_itself(home, capsys):
    with StudyFolder(home, "mine").locked():
        assert main(["sync", "mine"]) == 0
    assert capsys.readouterr().out == "mine: is running, and writes itself\n"


def test_a_server_that_is_not_there_and_a_study_that_is_not(home, capsys, monkeypatch, caplog):
    assert main(["sync", "yours"]) == 2
    assert "unknown study 'yours'" in capsys.readouterr().err
    assert main(["sync", "mine", "--uri", "http://user:secret@127.0.0.1:9"]) == 2
    said = capsys.readouterr().err
    assert "could not be written into MLflow at http://127.0.0.1:9" in said
    assert "secret" not in said + caplog.text
