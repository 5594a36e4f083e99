"""Sweeps, races and credit as a person starts them: done once, gone on with after a kill, replayed to the same bits."""

import json
import signal
from pathlib import Path

import pytest

from modules.search.tries import Tuning
from tests.integration.conftest import INLINE, TINY, Runner, kill

SPACE = "training.learning_rate: tag(log, interval({low}, 0.1))\ntraining.batch_size: choice(32, 64)\n"
TWO = ("runner=processes", "runner.workers=2")
SWEEP = (*INLINE, "search.tries=4", "search.slice_samples=400", "trainer.threads=1", "training.find_rate=false")


RACE = (
    *("run", *TINY, *INLINE, "study=raced"),
    *("optimizer=sgd", "training.learning_rate=0.0005", "search.optimizers=[adamw,nesterov]"),
)


def space(folder: Path, low: float = 0.001) -> str:
    path = folder / "mine.yaml"
    path.write_text(SPACE.format(low=low))
    return str(path)


def tuning(runner: Runner, study: str) -> Tuning:
    return Tuning.model_validate_json((runner.home / "studies" / study / "tuning-sweep.json").read_text())


def points(found: Tuning) -> list[dict[str, object]]:
    return [one.values for one in found.tries]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    runner = Runner(tmp_path_factory.mktemp("swept") / "home")
    done = runner.run("sweep", space(runner.home.parent), *SWEEP, "study=sweep")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return runner


def test_a_sweep_tries_the_configuration_and_then_what_is_proposed(swept: Runner) -> None:
    found, summary = tuning(swept, "sweep"), swept.summary("sweep")
    assert [one.origin for one in found.tries] == ["the configuration", *["proposed"] * 3]
    assert found.tries[0].values == {"training.learning_rate": 0.01, "training.batch_size": 64}
    assert found.best is not None
    assert summary["state"] == "completed"
    assert summary["command"].startswith("espalier sweep ")
    assert "Hyper-parameters" in (swept.home / summary["report"]).read_text()
    assert (swept.home / "studies/sweep/figures/sweep_history.svg").exists()
    assert swept.trials() == summary["trials"]["count"] == sum(len(one.trials) for one in found.tries)


@pytest.mark.full
def test_a_sweeps_winner_can_be_replayed(swept: Runner) -> None:
    done = swept.run("replay", "sweep")
    assert done.returncode == 0, done.stderr


def weights(runner: Runner) -> dict[str, bytes]:
    """All trials of the store with the weights that each gave."""
    found = (runner.home / "store/trials").glob("??/[0-9a-f]*/weights.safetensors")
    return {path.parent.name: path.read_bytes() for path in found}


@pytest.mark.full
def test_a_batch_of_tries_is_the_same_with_two_workers(tmp_path: Path) -> None:
    one, two = Runner(tmp_path / "one" / "home"), Runner(tmp_path / "two" / "home")
    for runner, how in ((one, ()), (two, TWO)):
        runner.home.mkdir(parents=True)
        done = runner.run("sweep", space(tmp_path), *SWEEP, "search.tries_at_once=2", "study=sweep", *how)
        assert (done.returncode, done.stderr) == (0, "")
    assert [one.losses for one in tuning(one, "sweep").tries] == [one.losses for one in tuning(two, "sweep").tries]
    assert points(tuning(one, "sweep")) == points(tuning(two, "sweep"))
    assert weights(one) == weights(two)


@pytest.mark.faults
def test_a_killed_sweep_goes_on_with_the_same_tries(swept: Runner, runner: Runner) -> None:
    command = ("sweep", space(runner.home.parent), *SWEEP, "study=sweep")
    kill(runner.start_and_wait_for_trials(3, *command), signal.SIGKILL)
    done = runner.run(*command)
    assert done.returncode == 0, done.stderr
    assert [(one.values, one.losses) for one in tuning(runner, "sweep").tries] == [
        (one.values, one.losses) for one in tuning(swept, "sweep").tries
    ]
    assert runner.summary("sweep")["champion"]["weights_sha256"] == swept.summary("sweep")["champion"]["weights_sha256"]
    assert runner.summary("sweep")["trials"]["reused"] >= 3


@pytest.mark.full
def test_a_sweep_whose_space_has_changed_goes_on_where_it_is_the_same(swept: Runner) -> None:
    before = tuning(swept, "sweep")
    done = swept.run("sweep", space(swept.home.parent, low=0.003), *SWEEP, "study=sweep")
    assert done.returncode == 0, done.stderr
    assert "training.learning_rate was 0.001 to 0.1 on a log scale, now it is 0.003 to 0.1" in done.stdout
    after = tuning(swept, "sweep")
    kept = [each for each in points(before) if each["training.learning_rate"] >= 0.003]
    assert points(after)[: len(kept)] == kept
    assert swept.summary("sweep")["trials"]["reused"] >= 1


@pytest.mark.full
def test_a_widened_sweep_tries_as_many_more(swept: Runner) -> None:
    before, trials = tuning(swept, "sweep"), swept.trials()
    done = swept.run("sweep", space(swept.home.parent, low=0.0001), *SWEEP, "study=sweep")
    assert done.returncode == 0, done.stderr
    after = tuning(swept, "sweep")
    assert [one.origin for one in after.tries].count("proposed") == 3
    assert all(point in points(after) for point in points(before))
    assert swept.trials() > trials


@pytest.mark.full
def test_a_sweep_over_the_width_ends_within_its_limit(runner: Runner) -> None:
    runner.home.mkdir(parents=True)
    path = runner.home.parent / "widths.yaml"
    path.write_text("model.width: tag(log, interval(0.05, 4))\n")
    done = runner.run("sweep", str(path), *SWEEP, "study=widths", "objective.max_params=3000")
    assert (done.returncode, done.stderr) == (0, "")
    tries = tuning(runner, "widths").tries
    assert all(one.params <= 3000 and (one.trials or one.reason) for one in tries)
    assert any("above objective.max_params=3,000" in one.reason for one in tries)
    assert 0 < runner.summary("widths")["champion"]["params"] <= 3000


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A study that begins with an optimiser that hardly moves, so that the race is won by another one."""
    runner = Runner(tmp_path_factory.mktemp("raced") / "home")
    done = runner.run(*RACE)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return runner


def test_the_race_is_a_generation_of_the_ledger(raced: Runner) -> None:
    ledger = json.loads((raced.home / raced.summary("raced")["ledger"]).read_text())
    race, generation = ledger["generations"]
    assert (race["contest"], generation["contest"]) == ("optimisers", None)
    assert [row["edit"] for row in race["rows"]] == ["control", "set_optimizer", "set_optimizer"]
    (kept,) = [row for row in race["rows"] if row["kept"]]
    assert kept["steer_effect"]["high"] < 0
    assert kept["certificate"]["max_logit_change"] == 0
    assert race["winner_trial"] in kept["trials"]
    (given_up,) = [row for row in race["rows"] if row["verdict"].startswith("given up")]
    assert given_up["seconds"] > 0
    recipe = json.loads((raced.home / "studies/raced/champion/recipe.json").read_text())
    assert recipe["optimizer"]["target"] in ("torch.optim.AdamW", "torch.optim.SGD")
    assert recipe["learning_rate"] != 0.0005


def test_a_race_is_the_same_with_two_workers(raced: Runner, runner: Runner) -> None:
    done = runner.run(*RACE, *TWO)
    assert (done.returncode, done.stderr) == (0, "")
    assert weights(runner) == weights(raced)


@pytest.mark.full
def test_hyper_parameters_around_a_trunk_are_the_same_with_two_workers(tmp_path: Path) -> None:
    one, two = Runner(tmp_path / "one" / "home"), Runner(tmp_path / "two" / "home")
    for runner, how in ((one, ()), (two, TWO)):
        runner.home.mkdir(parents=True)
        searched = (f"search.space={space(tmp_path)}", "search.space_share=0.7", "search.tries_at_once=2")
        done = runner.run("run", *TINY, *INLINE, *searched, "study=tuned", *how)
        assert (done.returncode, done.stderr) == (0, "")
        assert (runner.home / "studies/tuned/tuning-before.json").exists()
    assert weights(one) == weights(two)


def test_a_study_with_a_race_can_be_replayed(raced: Runner) -> None:
    done = raced.run("replay", "raced")
    assert done.returncode == 0, done.stderr
    assert "to the same bits" in done.stdout


@pytest.mark.full
def test_credit_leaves_out_what_was_used_and_opens_no_test_set(raced: Runner) -> None:
    openings = list((raced.home / "store/test_openings").glob("??/*"))
    done = raced.run("credit", "raced", "--seeds", "1", "--without", "optimiser,structure,averaging,batch growth")
    assert done.returncode == 0, done.stderr
    credits = json.loads((raced.home / "studies/raced/credit.json").read_text())
    assert {one["name"] for one in credits["contributions"]} == {"optimiser", "structure", "averaging"}
    assert credits["unused"] == ["batch growth"]
    found = {one["name"]: one for one in credits["contributions"]}
    assert found["optimiser"]["error"] > credits["error"]
    assert list((raced.home / "store/test_openings").glob("??/*")) == openings
    assert "<svg" in (raced.home / "studies/raced/figures/credit.svg").read_text()
    assert "What each automation bought" in (raced.home / "studies/raced/report.html").read_text()
    again = raced.run("credit", "raced", "--seeds", "1", "--without", "optimiser,structure,averaging,batch growth")
    assert done.stdout.endswith(again.stdout)
    assert raced.run("studies").stdout.count("raced") == 1


def test_credit_of_what_has_none(swept: Runner) -> None:
    for arguments, said in (
        (("sweep",), "is a sweep; allowed are studies with search=edits"),
        (("nothing",), "unknown study"),
        (("sweep", "--without", "luck"), "there is no such automation; allowed: schedule"),
        (("sweep", "--seeds", "0"), "out of range"),
    ):
        done = swept.run("credit", *arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
