"""Augmentation that a study finds: recorded, shown, found once, and resumed after a kill."""

import json

import pytest

from tests.integration.conftest import INLINE, Runner, kill
from tests.integration.test_bad_input import assert_refused

RUN = (
    "run",
    *INLINE,
    "study=found",
    "augmentation=auto",
    "augmentation.candidates=[flip,shift,brightness]",
    "search=none",
    "training.max_epochs=1",
    "training.find_rate=false",
    "trainer.threads=1",
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    runner = Runner(tmp_path_factory.mktemp("found") / "home")
    done = runner.run(*RUN)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return runner


def policy(runner: Runner) -> dict:
    found = dict(json.loads((runner.home / "studies/found/augmentation.json").read_text()))
    return {name: value for name, value in found.items() if name != "seconds"}


def test_the_policy_is_in_the_recipe_and_every_candidate_in_the_record(found: Runner) -> None:
    measured = policy(found)
    recipe = json.loads((found.home / "studies/found/champion/recipe.json").read_text())
    assert recipe["augmentation"] == measured["transforms"]
    assert recipe["augmentation_mode"] == "all"
    kept = [one["transform"] for one in measured["candidates"] if one["kept"]]
    assert kept == measured["transforms"]
    assert len(measured["candidates"]) == 8
    assert all(one["why"] and one["picture"] for one in measured["candidates"])
    assert measured["samples"] >= 48_000


def test_digits_are_not_turned_into_mirror_images(found: Runner) -> None:
    flips = [one for one in policy(found)["candidates"] if one["transform"]["target"].endswith(".Flip")]
    assert len(flips) == 2
    assert not any(one["kept"] for one in flips)


def test_the_report_shows_each_candidate(found: Runner) -> None:
    page = (found.home / "studies/found/report.html").read_text()
    for candidate in policy(found)["candidates"]:
        assert candidate["picture"] in page
        assert candidate["why"].partition("'")[0] in page


@pytest.mark.full
def test_it_is_found_once(found: Runner) -> None:
    before, trials = policy(found), found.trials()
    assert found.run(*RUN).returncode == 0
    assert (policy(found), found.trials()) == (before, trials)


@pytest.mark.full
def test_a_budget_pays_for_finding_it_too(runner: Runner) -> None:
    few = ("augmentation.candidates=[flip,noise]", "search=none", "training.find_rate=false", "trainer.threads=1")
    done = runner.run("run", *INLINE, "study=paid", "augmentation=auto", *few, "budget.samples=90000")
    assert done.returncode == 0, done.stderr
    found = json.loads((runner.home / "studies/paid/augmentation.json").read_text())
    plan = json.loads((runner.home / "studies/paid/plan.json").read_text())
    assert 0 < found["samples"] <= 9_000
    assert found["samples"] + plan["baseline_samples"] == 90_000
    assert found["num_trials"] + 1 == runner.summary("paid")["trials"]["count"]


@pytest.mark.full
def test_a_budget_of_trials_that_does_not_pay_for_it(runner: Runner) -> None:
    done = runner.run("run", *INLINE, "augmentation=auto", "augmentation.candidates=[flip]", "budget.trials=8")
    assert_refused(done, "budget.trials=8", "augmentation=auto, which trains 6", "allowed is 9 or more")


@pytest.mark.faults
def test_a_kill_while_it_is_looked_for_loses_nothing(found: Runner, runner: Runner) -> None:
    kill(runner.start_and_wait_for_trials(2, *RUN))
    finished = runner.trials()
    done = runner.run(*RUN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(from the store)") >= finished
    assert policy(runner) == policy(found)
    assert runner.summary("found")["champion"] == {
        **found.summary("found")["champion"],
        "latency_ms": runner.summary("found")["champion"]["latency_ms"],
    }
