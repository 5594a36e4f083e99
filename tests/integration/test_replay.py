"""Going back over a study's ledger, and on from its winner."""

import json
from pathlib import Path

import pytest

from tests.integration.conftest import INLINE, TINY, Runner

RUN = ("run", *TINY, *INLINE, "study=first")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    runner = Runner(tmp_path_factory.mktemp("replayed") / "home")
    done = runner.run(*RUN, "objective.margin=1.0")  # a shrinking edit is welcome at nearly any price: one is kept
    assert done.returncode == 0, done.stderr
    return runner


def test_the_winner_is_rebuilt_from_the_ledger_to_the_same_bits(finished: Runner) -> None:
    weights = finished.summary("first")["champion"]["weights_sha256"]
    before = finished.trials()
    done = finished.run("replay", "first")
    assert done.returncode == 0, done.stderr
    assert weights in done.stdout
    assert finished.trials() == before  # in a store of its own


def test_the_lineage_has_every_kept_edit(finished: Runner) -> None:
    ledger = json.loads((finished.home / "studies/first/ledger.json").read_text())
    kept = [row for generation in ledger["generations"] for row in generation["rows"] if row["kept"]]
    scratch = next(row for row in ledger["final"] if row["kept"])["edit"] == "final: from scratch"
    edits = [step["edit"] for step in ledger["lineage"] if step["edit"]]
    assert len(edits) == (0 if scratch else len(kept))
    assert ledger["lineage"][0]["recipe"]["architecture"]["nodes"]


def test_a_ledger_that_was_changed_by_hand_is_refused(finished: Runner) -> None:
    path = finished.home / "studies/first/ledger.json"
    text = path.read_text()
    try:
        path.write_text(text.replace('"kept": false', '"kept": true', 1))
        done = finished.run("replay", "first")
        assert done.returncode == 2
        assert "was changed after the study wrote it" in done.stderr
        assert done.stderr.count("\n") == 1
        path.write_text(text[: len(text) // 2])
        done = finished.run("replay", "first")
        assert done.returncode == 2
        assert "is no ledger that this program wrote" in done.stderr
    finally:
        path.write_text(text)


@pytest.mark.full
def test_a_study_goes_on_from_the_winner_of_another(finished: Runner) -> None:
    second = ("run", *TINY, *INLINE, "study=second", "search.start=first")
    done = finished.run(*second)
    assert done.returncode == 0, done.stderr
    assert "goes on from the winner of study first" in done.stdout
    ledger = json.loads((finished.home / "studies/second/ledger.json").read_text())
    first = finished.summary("first")["champion"]
    assert ledger["lineage"][0]["start"] or ledger["final"]
    baseline = json.loads(_result(finished, ledger["baseline"]).read_text())
    assert baseline["params"] == first["params"]
    replayed = finished.run("replay", "second")
    assert replayed.returncode == 0, replayed.stderr


@pytest.mark.full
def test_a_study_goes_on_with_another_optimiser_than_the_winner_was_trained_with(runner: Runner) -> None:
    once = ("run", *INLINE, "search=none", "training.max_epochs=1", "trainer.threads=1", "explanation=none")
    for overrides in (("study=heavy", "optimizer=momentum"), ("study=light", "search.start=heavy")):
        done = runner.run(*once, *overrides)
        assert done.returncode == 0, done.stderr
    ledger = json.loads((runner.home / "studies/light/ledger.json").read_text())
    assert ledger["lineage"][0]["start"]["kind"] == "edits"  # the winner's state without its moments
    replayed = runner.run("replay", "light")
    assert replayed.returncode == 0, replayed.stderr


def test_a_winner_is_not_judged_by_images_that_it_was_trained_on(finished: Runner) -> None:
    done = finished.run("run", *TINY, *INLINE, "study=split", "search.start=first", "data.split_seed=1")
    assert done.returncode == 2, done.stdout
    assert "images of steer, confirm and test are ones that its winner was trained on" in done.stderr
    assert done.stderr.count("\n") == 1


def _result(runner: Runner, key: str) -> Path:
    return runner.home / "store" / "trials" / key[:2] / key / "result.json"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("search.start=nobody",), "there is no finished study of that name"),
        (("objective.max_params=10",), "the smallest network here has"),
        (("objective.max_latency_ms=1e-6",), "the smallest network here has"),
        (("model.width=1.0", "search=none", "objective.max_params=50"), "allowed is search=edits"),
        (("model=classic",), "does not fit images of 1 x 8 x 8"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(runner: Runner, overrides: tuple[str, ...], said: str) -> None:
    done = runner.run(
        "run", *(each for each in TINY if "search" not in each or "search=none" not in overrides), *INLINE, *overrides
    )
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.full
def test_few_images_are_not_searched_unless_asked_for(runner: Runner) -> None:
    sizes = [each for each in TINY if "generations" not in each]
    done = runner.run("plan", *sizes, *INLINE, "search.least_images=5000")
    assert done.returncode == 0, done.stderr
    assert "nothing is searched, as 1,065 training images are fewer than search.least_images=5000" in done.stdout
    done = runner.run("plan", *TINY, *INLINE, "search.least_images=5000")
    assert "1 generation" in done.stdout
