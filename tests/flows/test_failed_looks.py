"""Looks and measurements that a worker dies of: the study goes on without them, says so, and judges alike again."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import finals, gears, generations
from flows.contests import with_optimizer
from flows.evidence import confirmation_of
from flows.experiment import run_study
from flows.generations import Generation
from flows.limits import check_limits, cost_of
from flows.tuning import Way
from modules.architecture.description import Architecture
from modules.architecture.nodes import Conv
from modules.config import resolve
from modules.records import RangeTest
from modules.search.contest import change
from modules.search.diagnosis import Diagnosis
from modules.search.failed import Failed
from modules.search.final import FinalTraining
from modules.search.gears import TriedRate
from modules.search.generation import Child, Trained, Trunk, record_generation
from modules.search.laboratory import Inherited, Laboratory
from modules.search.limits import Cost, Limits
from modules.search.proposal import Knowledge, Proposal, propose
from modules.workers.pool import WorkerDiedError, WorkerKilledError
from tests.integration.conftest import INLINE, TINY
from tests.made_up_plan import CLOCKLESS
from tests.unit.search.test_generation import COMPARISON, CONTROL, child
from tests.unit.tiny_study import ADAMW, tiny_recipe

RAN_OUT = "the worker process ran out of memory"


class Study:
    """As far as a look goes that may fail; `looks` says of each what comes of it, or which death."""

    def __init__(self, *overrides: str) -> None:
        self.settings = resolve(overrides)
        self.decisions: dict[str, Any] = {}
        self.looks: dict[str, Any] = {}
        self.asked: list[str] = []
        self.said: list[str] = []
        self.failed = 0
        self.progress = SimpleNamespace(say=lambda said, style="": self.said.append(said))
        self.laboratory = SimpleNamespace(
            diagnose=lambda recipe, trial: self.look(trial.key),
            observe=lambda recipe, trial, part: self.look(trial.key),
            left_out=lambda selection, trained, steer=False: self.look(trained[0][1].key),
            latency_ms=lambda architecture: self.look(f"{architecture.params}"),
            find_rate=lambda recipe, seed: self.look("rate"),
            num_selected=lambda recipe: 10_000,
        )

    def look(self, what: str) -> Any:
        self.asked.append(what)
        came = self.looks.get(what, WorkerKilledError(RAN_OUT))
        if isinstance(came, Exception):
            raise came
        return came

    def each(self, calls: Any) -> list[Any]:
        return [call() for call in calls]

    def seed(self, replicate: int) -> int:
        return replicate

    def has_decided(self, question: str) -> bool:
        return question in self.decisions

    def decided(self, question: str, decide: Any) -> Any:
        return self.decisions[question] if question in self.decisions else self.decisions.setdefault(question, decide())

    def count_failure(self) -> None:
        self.failed += 1


def trunk_of(key: str = "parent") -> Any:
    trial: Any = SimpleNamespace(key=key, state_sha256="s", steer_loss=0.5, steer_error=0.2)
    return Trunk(Trained(tiny_recipe(), (trial,), None), 0)  # type: ignore[arg-type]


def test_a_generation_goes_on_without_a_look_at_its_parent() -> None:
    study: Any = Study()
    for _ in range(2):
        diagnosis = generations.evaluate(Generation(study, CLOCKLESS, trunk_of(), 3))
        assert diagnosis == Diagnosis(train_loss=None, steer_loss=0.5, train_error=None, steer_error=0.2)
    assert study.asked == ["parent"]
    assert study.said[0] == f"generation 3: edits are proposed without a look at the network, as that failed: {RAN_OUT}"


def test_without_a_look_nothing_speaks_for_an_edit_but_what_else_is_known() -> None:
    recipe, edits = tiny_recipe(), resolve([]).search.edits
    blind = Diagnosis(train_loss=None, steer_loss=0.5, train_error=None, steer_error=0.2)
    assert (blind.gap, blind.leaning) == (None, None)
    assert (*blind.findings(recipe.architecture), *blind.findings_of_recipe) == ()
    proposals = propose(edits, recipe, Knowledge(diagnosis=blind), 8, 0, 1)
    assert {one.reason for one in proposals} == {"drawn from the mix: the network could not be looked at"}
    params = recipe.architecture.params
    beyond = propose(edits, recipe, Knowledge(diagnosis=blind, limits=Limits(max_params=params // 2)), 8, 0, 1)
    assert beyond
    assert all("only shrinking is proposed" in one.reason for one in beyond)


def with_channels(number: int) -> Architecture:
    """The tiny network with another number of channels."""
    tiny = tiny_recipe().architecture
    nodes = tuple(node.updated(channels=number) if isinstance(node, Conv) else node for node in tiny.nodes)
    return tiny.updated(nodes=nodes)


def test_an_edit_whose_latency_cannot_be_measured_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    study: Any = Study("objective.max_latency_ms=5")
    trunk = trunk_of()
    others = [tiny_recipe(architecture=with_channels(number)) for number in (8, 4)]
    for recipe in (trunk.trained.recipe, others[1]):
        study.looks[f"{recipe.architecture.params}"] = 1.0
    applied = iter([Inherited(recipe, None, None, "done") for recipe in others])  # type: ignore[arg-type]
    monkeypatch.setattr(generations, "apply_edit", lambda *arguments: next(applied))
    proposals = [Proposal(name=name, edit=ADAMW, reason="") for name in ("slow", "fits")]
    generation = Generation(study, CLOCKLESS.updated(edits_per_generation=2), trunk, 1)
    fitting, refused = generations.fit_edits(generation, proposals)
    assert [proposal.name for proposal, _ in fitting] == ["fits"]
    why = f"its latency could not be measured: {RAN_OUT}"
    assert [one.refused for one in refused] == [why]
    assert cost_of(study, others[0].architecture) == Failed(why)
    assert study.asked.count(f"{others[0].architecture.params}") == 1


def test_the_latency_of_the_first_network_has_to_be_known_and_is_measured_again() -> None:
    study: Any = Study("objective.max_latency_ms=5")
    for _ in range(2):
        with pytest.raises(WorkerDiedError, match=RAN_OUT):
            check_limits(study, tiny_recipe().architecture)
    assert study.decisions == {}
    study.looks[f"{tiny_recipe().architecture.params}"] = 1.0
    check_limits(study, tiny_recipe().architecture)
    assert isinstance(cost_of(study, tiny_recipe().architecture), Cost)


def test_a_point_of_a_space_whose_latency_cannot_be_measured_fails_alone() -> None:
    study: Any = Study()

    def die(values: Any) -> Any:
        raise WorkerKilledError(RAN_OUT)

    points = SimpleNamespace(recipe_at=die)
    search: Any = SimpleNamespace(study=study, when="sweep", points=points, climbing=None)
    way = Way(search, SimpleNamespace(values={"model.width": 4.0}))  # type: ignore[arg-type]
    way.go_on(lambda spec: pytest.fail("it was trained"))
    assert (way.state, way.reason) == ("failed", RAN_OUT)


def test_an_edit_that_confirm_cannot_be_asked_about_is_kept_on_what_steer_says() -> None:
    study: Any = Study()
    better = child("better", 12, 0.5, 0.501)
    assert better.trained is not None
    for _ in range(2):
        confirmation = confirmation_of(study, better.trained, CONTROL)
        assert confirmation == Failed(RAN_OUT)
    assert study.asked == ["better-0"]
    row = record_generation(1, COMPARISON, [better], COMPARISON.judge([better]), confirmation).rows[1]
    assert (row.kept, row.confirmed, row.confirm_effect) == (True, False, None)
    assert row.verdict.startswith("kept: ")
    assert row.verdict.endswith(f"; not confirmed: {RAN_OUT}")
    assert confirmation_of(study, None, CONTROL) is None


def final_of(name: str) -> FinalTraining:
    return FinalTraining(tiny_recipe(), SimpleNamespace(key=name), "parent")  # type: ignore[arg-type]


@pytest.mark.parametrize("lost", ["continued", "from scratch"])
def test_a_final_training_that_confirm_cannot_be_opened_for_is_left_out(lost: str) -> None:
    study: Any = Study()
    trained = {name: final_of(name) for name in ("continued", "from scratch")}
    (other,) = trained.keys() - {lost}
    study.looks[other] = seen = SimpleNamespace()
    finalists = finals._finalists(study, trained)
    assert {name: each.seen for name, each in finalists.items()} == {other: seen}
    assert study.said == [f"final: {lost} is left out, as confirm could not be opened for it: {RAN_OUT}"]


def test_where_confirm_can_be_opened_for_none_the_study_ends_and_can_go_on() -> None:
    study: Any = Study()
    trained = {name: final_of(name) for name in ("continued", "from scratch")}
    with pytest.raises(WorkerDiedError, match=RAN_OUT):
        finals._finalists(study, trained)
    study.looks["from scratch"] = SimpleNamespace()
    assert finals._finalists(study, trained).keys() == {"from scratch"}


def test_an_optimiser_whose_range_test_fails_races_at_its_own_rate() -> None:
    study: Any = Study("search.optimizers=[sgd]")
    (choice,) = study.settings.search.optimizers
    for _ in range(2):
        assert with_optimizer(study, tiny_recipe(), choice).learning_rate == choice.learning_rate
    assert study.asked == ["rate"]
    assert study.said[0] == f"sgd races at its default rate of 0.1, as its range test failed: {RAN_OUT}"
    well: Any = Study("search.optimizers=[sgd]")
    well.looks["rate"] = RangeTest(rates=(), losses=(), picked=0.03)
    assert with_optimizer(well, tiny_recipe(), choice).learning_rate == 0.03


def test_gears_are_not_judged_without_a_look_at_the_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    study: Any = Study()
    trunk, head = trunk_of("head"), gears._Head(tiny_recipe(), SimpleNamespace(key="fold"))  # type: ignore[arg-type]
    monkeypatch.setattr(gears, "gear_rates", lambda study: (0.1,))
    monkeypatch.setattr(gears, "num_folds", lambda study, recipe: 2)
    monkeypatch.setattr(gears, "split_folds", lambda *arguments: ["one", "two"])
    monkeypatch.setattr(gears, "_head_of_fold", lambda *arguments: head)
    study.laboratory.data = None
    planted: Any = SimpleNamespace(first=None)
    assert gears.thaw(study, CLOCKLESS.updated(thaw_samples=1), trunk, planted) is trunk
    assert study.said[1:] == [f"gears are not judged, as the look at the heads of the folds failed: {RAN_OUT}"]


def test_a_gear_that_folds_cannot_be_asked_about_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    study: Any = Study()
    recipe, trial = tiny_recipe(), SimpleNamespace(key="geared")
    came = gears._Came(Inherited(recipe, None, None, "done"), trial)  # type: ignore[arg-type]
    monkeypatch.setattr(gears, "_train_on_fold", lambda *arguments: came)
    proposal = change(recipe, recipe.updated(learning_rate=0.02), "thaw", "")
    untrained = Child(proposal=proposal, description="train everything at a rate of 0.1")
    one = gears._Candidate("all", 0.1, recipe, untrained)
    thawing = gears.Thawing(study, CLOCKLESS, trunk_of(), None, 1)  # type: ignore[arg-type]
    child = gears._compare(thawing, [None], one)  # type: ignore[list-item]
    assert (child.refused, child.spent) == (RAN_OUT, (trial,))
    assert gears._tried(study, one, came) == TriedRate(gear="all", learning_rate=0.1)


@pytest.mark.full
def test_a_study_whose_every_look_dies_still_ends_with_a_winner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe, opened = Laboratory.observe, list[str]()

    def die(*arguments: Any) -> Any:
        raise WorkerKilledError(RAN_OUT)

    def die_once(laboratory: Laboratory, recipe: Any, trial: Any, part: Any, plain: bool = False) -> Any:
        opened.append(part)
        if opened == ["confirm"]:
            die()
        return observe(laboratory, recipe, trial, part, plain)

    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    monkeypatch.setattr(Laboratory, "diagnose", die)
    monkeypatch.setattr(Laboratory, "observe", die_once)
    run_study(resolve([*TINY, *INLINE, "study=mine"]), "run")
    folder = tmp_path / "studies" / "mine"
    assert json.loads((folder / "summary.json").read_text())["state"] == "completed"
    ledger = json.loads((folder / "ledger.json").read_text())
    assert {row["reason"] for row in ledger["generations"][0]["rows"][1:]} == {
        "drawn from the mix: the network could not be looked at"
    }
