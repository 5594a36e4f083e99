import json
import logging
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_up_trials import STARTED_AT, STUDY, end, trial, trials
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from modules.tracking.sink import MlflowSink


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a database that has no runs: making one takes seconds."""
    home = tmp_path_factory.mktemp("empty")
    sink = sink_of(home)
    sink.open_in_background()
    sink._guarded(lambda: None)
    assert sink.is_on
    sink.close()
    return home


@pytest.fixture
def home(empty_home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(empty_home, tmp_path / "home"))


@pytest.fixture
def sink(home: Path) -> Iterator[MlflowSink]:
    sink = sink_of(home)
    yield sink
    sink.close()


def uri_of(home: Path) -> str:
    return f"sqlite:///{home.absolute()}/mlflow.db"


def sink_of(home: Path) -> MlflowSink:
    return MlflowSink(uri_of(home), home / "artifacts", home)


def client_of(home: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=uri_of(home))


def runs_in(home: Path) -> tuple[Run, list[Run]]:
    """The study's run and its trials' in order of their keys."""
    client = client_of(home)
    experiment = client.get_experiment_by_name("mnist")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    return parents[0], sorted(children, key=lambda run: run.data.tags["espalier.trial"])


def everything_in(home: Path) -> list[tuple[object, ...]]:
    """All rows that a rewrite could double."""
    with sqlite3.connect(home / "mlflow.db") as database:
        tables = ("runs", "metrics", "params", "tags", "inputs", "datasets")
        rows = [
            (table, *row) for table in tables for row in database.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
        ]
    database.close()
    return rows


def test_a_study_and_its_trials_are_written_with_the_times_that_were_recorded(home: Path, sink: MlflowSink) -> None:
    sink.write_study(STUDY)
    for run in trials(5):
        sink.write_trial(STUDY.name, run)
    sink.finish_study(end(trial(4, confirm_error=0.011, test_error=0.009)))
    assert sink.is_on
    parent, children = runs_in(home)
    assert (parent.info.run_name, parent.info.status) == (STUDY.name, "FINISHED")
    assert parent.info.start_time == STARTED_AT * 1000
    assert parent.info.end_time == (STARTED_AT + 3600) * 1000
    assert parent.data.params == STUDY.parameters
    assert [child.info.run_name for child in children] == [
        "g0 control s0",
        "g0 widen_layer s1",
        "g0 widen_layer s2",
        "g0 widen_layer s0",
        "g1 control s1",
    ]
    assert [child.info.start_time for child in children] == [(STARTED_AT + 100 * n) * 1000 for n in range(5)]
    assert {child.info.status for child in children} == {"FINISHED"}


def test_a_study_and_its_trials_can_be_compared_by_the_same_names(home: Path, sink: MlflowSink) -> None:
    champion = trial(2, confirm_loss=0.04, confirm_error=0.011, test_loss=0.03, test_error=0.009)
    sink.rebuild(STUDY, [champion], end(champion))
    parent, (child,) = runs_in(home)
    assert child.data.metrics.keys() - parent.data.metrics.keys() == {
        "train/loss",
        "train/learning_rate",
        "train/batch_size",
        "train/epoch",
    }
    shared = child.data.metrics.keys() & parent.data.metrics.keys()
    assert {name: parent.data.metrics[name] for name in shared} == {name: child.data.metrics[name] for name in shared}
    assert parent.data.metrics["test/error"] == 0.009
    assert parent.data.metrics["model/params"] == 42_000


def test_curves_run_over_samples_seen(home: Path, sink: MlflowSink) -> None:
    run = trial(1)
    sink.rebuild(STUDY, [run], None)
    _, (child,) = runs_in(home)
    history = client_of(home).get_metric_history(child.info.run_id, "train/loss")
    assert [point.step for point in history] == [point.samples for point in run.result.curve]
    assert [point.value for point in history] == [point.train_loss for point in run.result.curve]
    assert history[0].timestamp == (run.result.started_at + 2.5) * 1000
    assert child.data.metrics["steer/loss"] == run.result.steer_loss


def test_long_curves_are_written_in_chunks(home: Path, sink: MlflowSink) -> None:
    run = trial(1, num_points=400)
    sink.rebuild(STUDY, [run], None)
    assert sink.is_on
    _, (child,) = runs_in(home)
    assert len(client_of(home).get_metric_history(child.info.run_id, "train/loss")) == 400


def test_the_data_set_is_an_input_of_every_run(home: Path, sink: MlflowSink) -> None:
    sink.rebuild(STUDY, trials(2), None)
    parent, children = runs_in(home)
    for run in (parent, *children):
        (data,) = run.inputs.dataset_inputs
        assert (data.dataset.name, data.dataset.digest) == ("mnist", STUDY.data.digest)


def test_artifacts_lie_under_the_study(home: Path, sink: MlflowSink) -> None:
    (home / "studies").mkdir()
    (home / "studies" / "ledger.json").write_text("{}")
    (home / "studies" / "curves.svg").write_text("<svg/>")
    artifacts = {"": ("studies/ledger.json",), "figures": ("studies/curves.svg",)}
    sink.rebuild(STUDY, [], end(None, artifacts=artifacts))
    assert sink.is_on
    parent, _ = runs_in(home)
    client = client_of(home)
    assert [file.path for file in client.list_artifacts(parent.info.run_id)] == ["figures", "ledger.json"]
    assert [file.path for file in client.list_artifacts(parent.info.run_id, "figures")] == ["figures/curves.svg"]
    assert list((home / "artifacts" / "mnist").rglob("curves.svg"))


def test_writing_again_changes_nothing(home: Path, sink: MlflowSink) -> None:
    champion = trial(2, test_error=0.009)
    runs = [*trials(2), champion]
    sink.rebuild(STUDY, runs, end(champion))
    before = everything_in(home)
    for run in runs:
        sink.write_trial(STUDY.name, run)
    sink.rebuild(STUDY, runs, end(champion))
    sink.close()
    other = sink_of(home)
    other.rebuild(STUDY, runs, end(champion))
    other.close()
    assert everything_in(home) == before


def test_what_was_opened_later_is_added_to_the_trials_run(home: Path, sink: MlflowSink) -> None:
    sink.write_study(STUDY)
    sink.write_trial(STUDY.name, trial(1))
    _, (before,) = runs_in(home)
    sink.write_trial(STUDY.name, trial(1, confirm_error=0.01))
    _, (after,) = runs_in(home)
    assert after.info.run_id == before.info.run_id
    assert after.data.metrics == before.data.metrics | {"confirm/error": 0.01}


def test_a_trial_that_was_done_again_replaces_its_run(home: Path, sink: MlflowSink) -> None:
    sink.write_study(STUDY)
    sink.write_trial(STUDY.name, trial(1))
    sink.write_trial(STUDY.name, trial(1, result=trial(1).result.updated(started_at=STARTED_AT + 5000.0)))
    _, (child,) = runs_in(home)
    assert child.info.start_time == (STARTED_AT + 5000) * 1000


def test_a_run_that_was_left_half_written_is_written_again(
    home: Path, sink: MlflowSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.write_study(STUDY)
    with monkeypatch.context() as patch:
        patch.setattr(sink, "_log", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sink.write_trial(STUDY.name, trial(1))
    sink.close()
    sink.rebuild(STUDY, [trial(1)], None)
    _, (child,) = runs_in(home)
    assert child.data.params == trial(1).parameters
    assert len(client_of(home).get_metric_history(child.info.run_id, "train/loss")) == 12


def test_a_rebuild_drops_trials_that_the_study_no_longer_has(home: Path, sink: MlflowSink) -> None:
    sink.rebuild(STUDY, trials(3), None)
    sink.rebuild(STUDY, trials(2), None)
    assert len(runs_in(home)[1]) == 2


def test_a_study_that_was_started_over_ends_without_the_trials_of_before(home: Path, sink: MlflowSink) -> None:
    sink.rebuild(STUDY, trials(2), end(trial(1)))
    sink.write_study(STUDY)
    sink.write_trial(STUDY.name, trial(3))
    sink.finish_study(end(trial(3), finished_at=STARTED_AT + 7200), {trial(3).result.key})
    assert sink.is_on
    parent, children = runs_in(home)
    assert [child.data.tags["espalier.trial"] for child in children] == [trial(3).result.key]
    assert parent.data.metrics["study/trials"] == 1


def test_an_artifact_that_is_not_there_keeps_no_study_from_its_end(home: Path, sink: MlflowSink) -> None:
    sink.rebuild(STUDY, [], end(None, artifacts={"": ("studies/gone.json",)}))
    assert sink.is_on
    assert runs_in(home)[0].info.status == "FINISHED"


def test_a_study_of_the_same_name_with_another_configuration_starts_over(home: Path, sink: MlflowSink) -> None:
    sink.rebuild(STUDY, trials(3), None)
    sink.write_study(STUDY.updated(parameters=STUDY.parameters | {"seed": "1"}))
    assert sink.is_on
    parent, children = runs_in(home)
    assert parent.data.params["seed"] == "1"
    assert children == []


def test_two_studies_share_an_experiment_and_may_share_a_trial(home: Path, sink: MlflowSink) -> None:
    other = STUDY.updated(name="mnist-other")
    for study in (STUDY, other):
        sink.write_study(study)
    for study in (STUDY, other):
        sink.write_trial(study.name, trial(1))
    experiment = client_of(home).get_experiment_by_name("mnist")
    assert experiment is not None
    runs = client_of(home).search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["espalier.study"] for run in runs) == [STUDY.name] * 2 + [other.name] * 2


def test_a_resumed_study_runs_again_and_ends_with_its_new_champion(home: Path, sink: MlflowSink) -> None:
    sink.rebuild(STUDY, trials(2), end(trial(1), state="interrupted"))
    assert runs_in(home)[0].info.status == "KILLED"
    sink.write_study(STUDY)
    assert runs_in(home)[0].info.status == "RUNNING"
    sink.write_trial(STUDY.name, trial(3, num_points=4))
    sink.finish_study(end(trial(3, num_points=4), finished_at=STARTED_AT + 7200))
    parent, _ = runs_in(home)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["model/params"] == 43_000
    assert parent.data.metrics["steer/loss"] == trial(3, num_points=4).result.steer_loss


def test_long_and_many_texts_are_cut_to_what_mlflow_takes(home: Path, sink: MlflowSink) -> None:
    parameters = {f"name{number}": "x" * 9000 for number in range(230)}
    for _ in range(2):
        sink.rebuild(STUDY.updated(parameters=parameters), [], end(None, description="y" * 9000))
    assert sink.is_on
    parent, _ = runs_in(home)
    assert len(parent.data.params) == 230
    assert {len(text) for text in parent.data.params.values()} == {500}


def test_a_home_that_was_copied_keeps_its_own_artifacts(home: Path, sink: MlflowSink, tmp_path: Path) -> None:
    (home / "old.txt").write_text("old")
    sink.rebuild(STUDY, [], end(None, artifacts={"": ("old.txt",)}))
    sink.close()
    moved = Path(shutil.copytree(home, tmp_path / "moved"))
    shutil.rmtree(home)
    _artifact_repos_cache.clear()  # another process would not have it
    (moved / "new.txt").write_text("new")
    there = sink_of(moved)
    there.rebuild(STUDY, [], end(None, artifacts={"": ("new.txt",)}))
    assert there.is_on
    there.close()
    parent, _ = runs_in(moved)
    assert [file.path for file in client_of(moved).list_artifacts(parent.info.run_id)] == ["new.txt", "old.txt"]
    assert not home.exists()


def test_a_deleted_experiment_comes_back(home: Path, sink: MlflowSink) -> None:
    sink.write_study(STUDY)
    client = client_of(home)
    experiment = client.get_experiment_by_name("mnist")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    sink.rebuild(STUDY, trials(1), None)
    assert sink.is_on
    assert len(client.search_experiments(ViewType.ACTIVE_ONLY, filter_string="name = 'mnist'")) == 1


def test_the_database_can_be_read_while_it_is_written(home: Path) -> None:
    with sqlite3.connect(home / "mlflow.db") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_a_lock_that_goes_away_is_waited_for(home: Path, sink: MlflowSink, monkeypatch: pytest.MonkeyPatch) -> None:
    sink.write_study(STUDY)
    attempts: list[int] = []
    original = sink._log_data

    def locked_once(*arguments: object) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise RuntimeError("(sqlite3.OperationalError) database is locked")
        original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sink, "_log_data", locked_once)
    sink.write_trial(STUDY.name, trial(1))
    assert sink.is_on
    assert len(attempts) == 2
    assert len(runs_in(home)[1]) == 1


def test_a_server_that_is_gone_costs_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    sink = MlflowSink(f"http://someone:secret@127.0.0.1:{port}", tmp_path / "artifacts", tmp_path)
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        sink.write_study(STUDY)
        sink.write_trial(STUDY.name, trial(1))
        sink.finish_study(end(None))
    assert not sink.is_on
    assert time.monotonic() - started < 30
    assert [record.name for record in caplog.records] == ["modules.tracking.sink"]
    assert "secret" not in caplog.text
    assert capfd.readouterr() == ("", "")
    sink.close()


def test_a_database_that_is_none_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mlflow.db").write_text("no database " * 1000)
    sink = sink_of(tmp_path)
    sink.write_study(STUDY)
    assert not sink.is_on
    assert len(caplog.records) == 1
    sink.write_study(STUDY)
    assert len(caplog.records) == 1
    sink.close()


def test_after_a_fault_a_rebuild_writes_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = sink_of(home)
    sink.write_study(STUDY)
    with monkeypatch.context() as patch:
        patch.setattr(sink, "_log", lambda *_: (_ for _ in ()).throw(ConnectionError("gone")))
        sink.write_trial(STUDY.name, trial(0, "control"))
    assert not sink.is_on
    sink.write_trial(STUDY.name, trial(1))
    sink.rebuild(STUDY, trials(3), end(trial(2)))
    assert sink.is_on
    assert len(runs_in(home)[1]) == 3
    sink.close()


def test_a_new_database_is_made_without_a_word_on_the_console(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from modules.tracking.sink import MlflowSink
assert "mlflow" not in sys.modules
sink = MlflowSink({uri_of(tmp_path)!r}, Path({str(tmp_path / "artifacts")!r}), Path({str(tmp_path)!r}))
sink.open_in_background()
sink._guarded(lambda: None)
assert sink.is_on
sink.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "mlflow.db").is_file()


def test_an_experiment_offers_a_view_of_its_runs_and_keeps_what_a_person_wrote(sink: MlflowSink, home: Path) -> None:
    sink.write_study(STUDY)
    client = client_of(home)
    experiment = client.get_experiment_by_name("mnist")
    assert experiment is not None
    view = json.loads(experiment.tags["mlflow.sharedViewState.espalier"])
    assert "metrics.`test/error`" in json.loads(view["state"])["selectedColumns"]
    link = f"#/experiments/{experiment.experiment_id}/runs?viewStateShareKey=espalier"
    assert link in experiment.tags["mlflow.note.content"]
    client.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", "ours")
    again = sink_of(home)
    again.write_study(STUDY)
    again.close()
    assert client.get_experiment(experiment.experiment_id).tags["mlflow.note.content"] == "ours"
