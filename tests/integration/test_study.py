"""A study from the images to the report: what it leaves, that it is done once, that its bits do not depend on luck."""

import csv
import io
import json
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.integration.conftest import INLINE, TINY, Runner, is_alive, kill, workers_of

RUN = ("run", *TINY, *INLINE, "study=tiny")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    runner = Runner(tmp_path_factory.mktemp("undisturbed") / "home")
    done = runner.run(*RUN)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return runner


def champion(runner: Runner) -> tuple[str, str]:
    found = runner.summary("tiny")["champion"]
    return found["recipe"], found["weights_sha256"]


def test_leaves_a_summary_a_ledger_and_a_report(undisturbed: Runner) -> None:
    summary = undisturbed.summary("tiny")
    assert summary["state"] == "completed"
    assert summary["test_openings"] == 1
    assert summary["trials"]["failed"] == 0
    assert 0.0 <= summary["champion"]["test_error"] < 0.9
    assert summary["champion"]["latency_ms"] > 0
    ledger = json.loads((undisturbed.home / summary["ledger"]).read_text())
    (generation,) = ledger["generations"]
    assert generation["rows"][0]["edit"] == "control"
    assert len(generation["rows"]) == 3
    assert generation["smallest_effect"] > 0
    assert {row["edit"] for row in ledger["final"]} == {"final: continued", "final: from scratch"}
    assert "<html" in (undisturbed.home / summary["report"]).read_text()


def test_how_it_ended_is_kept_before_its_summary_calls_it_completed(undisturbed: Runner) -> None:
    """A kill between the two leaves MLflow nothing to contradict."""
    folder = undisturbed.home / "studies" / "tiny"
    end, summary = (folder / name for name in ("study_end.json", "summary.json"))
    assert json.loads(end.read_text())["state"] == "completed"
    assert end.stat().st_mtime_ns < summary.stat().st_mtime_ns


def test_the_same_command_again_trains_nothing_and_opens_nothing(undisturbed: Runner) -> None:
    before, openings = champion(undisturbed), list((undisturbed.home / "store/test_openings").glob("??/*"))
    done = undisturbed.run(*RUN)
    assert done.returncode == 0, done.stderr
    trials = undisturbed.summary("tiny")["trials"]
    assert trials["reused"] == trials["count"] > 0
    assert champion(undisturbed) == before
    assert list((undisturbed.home / "store/test_openings").glob("??/*")) == openings


def test_a_killed_study_ends_with_the_same_bits(undisturbed: Runner, runner: Runner) -> None:
    process = runner.start_and_wait_for_trials(3, *RUN)
    (worker,) = workers_of(process)
    kill(process, signal.SIGKILL)
    finished = runner.trials()
    done = runner.run(*RUN)
    assert done.returncode == 0, done.stderr
    assert runner.summary("tiny")["trials"]["reused"] >= finished
    assert champion(runner) == champion(undisturbed)
    assert not is_alive(worker)


def test_a_killed_worker_is_replaced_and_its_trial_tried_again(undisturbed: Runner, runner: Runner) -> None:
    import os

    process = runner.start_and_wait_for_trials(2, *RUN)
    (worker,) = workers_of(process)
    os.kill(worker, signal.SIGKILL)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert "the job is tried again" in errors
    assert "Traceback" not in errors
    assert champion(runner) == champion(undisturbed)


@pytest.mark.faults
def test_halving_gives_up_the_worse_half_and_a_kill_changes_nothing(runner: Runner, tmp_path: Path) -> None:
    halved = (*TINY, *INLINE, "search.halving=true", "study=halved")
    process = runner.start_and_wait_for_trials(
        4, *("run", *halved)
    )  # a baseline, its control and an edit that survived
    process.kill()
    process.communicate()
    assert runner.run("run", *halved).returncode == 0
    other = Runner(tmp_path / "other")
    other.home.mkdir()
    assert other.run("run", *halved).returncode == 0
    ledgers = [json.loads((each.home / "studies/halved/ledger.json").read_text()) for each in (runner, other)]
    (rows,) = (generation["rows"] for generation in ledgers[1]["generations"])
    given_up = [row for row in rows if row["verdict"].startswith("given up: after half a slice")]
    assert len(given_up) == 2
    assert all(row["seconds"] > 0 and not row["trials"] for row in given_up)
    assert sum(bool(row["trials"]) for row in rows) == 1 + 2
    champions = [each.summary("halved")["champion"]["weights_sha256"] for each in (runner, other)]
    assert champions[0] == champions[1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_at_once_and_tidily(runner: Runner, number: int, code: int) -> None:
    process = runner.start_and_wait_for_trials(1, *RUN)
    (worker,) = workers_of(process)
    output, errors = kill(process, number)
    assert process.returncode == code
    assert "Traceback" not in output + errors
    assert len(errors.splitlines()) <= 1
    assert runner.summary("tiny")["state"] == "interrupted"
    assert not is_alive(worker)


def test_two_runs_of_one_study_at_once(runner: Runner) -> None:
    process = runner.start_and_wait_for_trials(1, *RUN)
    second = runner.run(*RUN)
    kill(process)
    assert second.returncode == 2
    assert "already running" in second.stderr
    assert len(second.stderr.splitlines()) == 1


def test_fresh_starts_over(runner: Runner) -> None:
    short = ("run", *INLINE, "study=tiny", "search=none", "training.max_epochs=1", "trainer.threads=1")
    assert runner.run(*short).returncode == 0
    before = champion(runner)
    assert runner.run(*short, "fresh=true").returncode == 0
    assert runner.summary("tiny")["trials"]["reused"] == 0
    assert champion(runner) == before


@pytest.mark.full
def test_it_works_from_a_folder_with_modules_of_its_own(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "__init__.py").write_text("raise RuntimeError('not this one')\n")
    import os
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "flows.experiment", *INLINE, "study=tiny", "search=none", "training.max_epochs=1"],
        cwd=tmp_path,
        env={**os.environ, "ESPALIER_HOME": str(runner.home)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert runner.summary("tiny")["state"] == "completed"


def test_predicts_files(undisturbed: Runner, tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    for index in range(3):
        pixels = (load_digits().images[index] / 16 * 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"digit {index}.png")
    files = sorted(map(str, tmp_path.glob("*.png")))
    done = undisturbed.run("predict", "tiny", *files)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["file"] for row in rows] == files
    assert all(0.0 < float(row["probability"]) <= 1.0 for row in rows)
    assert {row["class"] for row in rows} <= set("0123456789")


def test_through_prefect_and_mlflow_the_bits_are_the_same(undisturbed: Runner, runner: Runner) -> None:
    done = runner.run("run", *TINY, "study=tiny")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "Traceback" not in done.stdout
    assert champion(runner) == champion(undisturbed)
    import sqlite3

    with sqlite3.connect(runner.home / "mlflow.db") as database:
        runs = database.execute("select name, status from runs").fetchall()
        models = database.execute("select name from model_versions").fetchall()
        notes = database.execute("select value from tags where key = 'mlflow.note.content'").fetchall()
    with sqlite3.connect(runner.home / "prefect" / "prefect.db") as database:
        tasks = {name for (name,) in database.execute("select name from task_run")}
    assert len(runs) == 1 + runner.summary("tiny")["trials"]["count"]
    assert {status for _, status in runs} == {"FINISHED"}
    assert models == [("digits",)]
    assert sum(note.startswith("A network of ") for (note,) in notes) == 1
    (generation, *_) = json.loads((runner.home / "studies" / "tiny" / "ledger.json").read_text())["generations"]
    assert {f"train {row['edit']}, generation 1, seed 0" for row in generation["rows"]} <= tasks
    bundle = runner.home / runner.summary("tiny")["bundle"]
    assert json.loads((bundle / "bundle.json").read_text())["parity"]["images"] == 376
    promoted = runner.run("promote", "tiny")
    assert promoted.returncode == 0, promoted.stderr
    assert promoted.stdout == f"digits {bundle.name} is live: nothing was live before\n"
    with sqlite3.connect(runner.home / "mlflow.db") as database:
        aliases = database.execute("select alias from registered_model_aliases order by alias").fetchall()
    assert aliases == [("challenger",), ("champion",)]


def test_a_name_that_other_settings_have_taken(undisturbed: Runner) -> None:
    done = undisturbed.run(*RUN, "training.learning_rate=0.02")
    assert done.returncode == 2
    assert "training.learning_rate=null, now it is 0.02" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert undisturbed.summary("tiny")["state"] == "completed"


def test_energy_is_counted_in_trials_ledger_and_summary(undisturbed: Runner) -> None:
    energy = undisturbed.summary("tiny")["energy"]
    assert energy["wh"] > 0
    assert energy["method"].startswith(("estimate: processor time at 4 W", "counters of the processor"))
    assert energy["co2_g"] == pytest.approx(energy["wh"] * energy["grams_per_kwh"] / 1000, rel=0.1)
    assert energy["inference_mj"] > 0
    ledger = json.loads((undisturbed.home / undisturbed.summary("tiny")["ledger"]).read_text())
    rows = [row for generation in ledger["generations"] for row in generation["rows"]] + ledger["final"]
    trained = [row for row in rows if row["trials"]]
    assert all(row["energy_wh"] > 0 and row["co2_g"] > 0 for row in trained)
    assert sum(row["energy_wh"] for row in trained) < 1.2 * energy["wh"]  # the study's is that of all its work


@pytest.mark.full
def test_an_ended_study_is_explained_when_asked_and_opens_nothing_for_it(undisturbed: Runner, tmp_path: Path) -> None:
    openings = list((undisturbed.home / "store/test_openings").glob("??/*"))
    asked = [argument for argument in RUN if argument != "explanation=none"]
    done = undisturbed.run(*asked)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "explained in " in done.stdout
    assert list((undisturbed.home / "store/test_openings").glob("??/*")) == openings
    view = json.loads((undisturbed.home / "studies/tiny/view.json").read_text())
    explanation = view["explanation"]
    assert [method["name"] for method in explanation["methods"]] == ["integrated_gradients", "grad_cam", "occlusion"]
    assert len(explanation["classes"]) == 10
    assert {example["kind"] for example in explanation["examples"]} >= {"typical", "borderline"}
    shown = {method["name"] for method in explanation["methods"] if method["shown"]}
    assert all(set(example["maps"]) == shown for example in explanation["examples"])
    assert 0.05 < explanation["calibration"]["temperature"] < 20
    report = (undisturbed.home / "studies/tiny/report.html").read_text()
    assert "What the winner looks at" in report
    assert "How far its probabilities can be believed" in report

    image = tmp_path / "digit.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(image)
    done = undisturbed.run("explain", "tiny", str(image), "--output", str(tmp_path / "page.html"))
    assert done.returncode == 0, done.stderr
    assert "integrated gradients: " in done.stdout
    page = (tmp_path / "page.html").read_text()
    assert page.count("<img") >= 2
    done = undisturbed.run("explain", str(tmp_path), str(image))
    assert done.returncode == 2
    assert "holds no model.onnx; allowed is a finished study, a winner's folder or a bundle" in done.stderr
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    shutil.copy(undisturbed.home / "studies/tiny/champion/model.onnx", bundle)
    done = undisturbed.run("explain", str(bundle), str(image), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "only one of its two checks was made" in done.stdout
    assert (tmp_path / "digit-explained.html").is_file()
