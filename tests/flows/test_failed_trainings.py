"""Trainings that come to nothing: the study goes on without them, and says the same of them when it is run again."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import finals, gears, generations
from flows.contests import Contest, climb_control, halve, settle
from flows.experiment import run_study
from flows.generations import Generation
from flows.trials import attempted
from modules.config import resolve
from modules.errors import TrainingError
from modules.records import CurvePoint, TrialResult
from modules.search.failed import Failed
from modules.search.generation import Trained, Trunk
from modules.search.laboratory import Laboratory
from modules.search.plan import RACE_RUNGS
from modules.search.proposal import Proposal
from modules.search.rungs import rungs_of
from modules.training.spec import TrialSpec
from modules.workers.pool import JobTimedOutError, WorkerKilledError
from tests.integration.conftest import INLINE, TINY
from tests.made_up_plan import CLOCKLESS
from tests.unit.tiny_study import ADAMW, tiny_recipe

RAN_OUT = "the worker process ran out of memory"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the study that `run` runs."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "studies" / "mine"


def run() -> None:
    run_study(resolve([*TINY, *INLINE, "study=mine"]), "run")


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def strike(monkeypatch: pytest.MonkeyPatch, fault: Callable[[TrialSpec], BaseException | None]) -> list[TrialSpec]:
    """Have trainings fail; the list grows by those that were begun."""
    train, begun = Laboratory.train, list[TrialSpec]()

    def train_or_fail(laboratory: Laboratory, spec: TrialSpec, report: Any) -> TrialResult:
        begun.append(spec)
        error = fault(spec)
        if error is not None:
            raise error
        return train(laboratory, spec, report)

    monkeypatch.setattr(Laboratory, "train", train_or_fail)
    return begun


def is_edited(spec: TrialSpec) -> bool:
    return spec.start is not None and spec.start.kind == "edits"


def is_control(spec: TrialSpec) -> bool:
    return spec.start is not None and not is_edited(spec) and spec.slice.samples <= 960


def test_what_failed_once_is_not_trained_again_when_the_study_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(spec: TrialSpec) -> BaseException | None:
        if is_edited(spec):
            return WorkerKilledError(RAN_OUT) if sum(map(is_edited, begun)) == 1 else None
        is_final = spec.start is not None and spec.slice.samples > 960
        return KeyboardInterrupt() if is_final else None

    with monkeypatch.context() as patched:
        begun = strike(patched, fault)
        with pytest.raises(KeyboardInterrupt):
            run()
    rows = read(folder / "ledger.json")["generations"][0]["rows"]
    assert [row["verdict"] for row in rows].count(f"refused: {RAN_OUT}") == 1

    again = strike(monkeypatch, lambda spec: None)
    run()
    assert again
    assert not any(map(is_edited, again))
    assert read(folder / "ledger.json")["generations"][0]["rows"] == rows
    assert read(folder / "summary.json")["trials"]["failed"] == 1


def test_a_control_that_diverges_ends_the_search_and_not_the_study(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strike(monkeypatch, lambda spec: TrainingError("the training diverged") if is_control(spec) else None)
    run()
    assert read(folder / "summary.json")["state"] == "completed"
    assert read(folder / "ledger.json")["generations"] == []
    reason = "the control of generation 1 came to nothing: the training diverged"
    assert read(folder / "view.json")["stop_reason"] == reason


class FakeStudy:
    """A study as far as a failing training goes."""

    def __init__(self, fails: Callable[[str], bool] = lambda name: True) -> None:
        self.decisions: dict[str, Any] = {}
        self.failed = 0
        self.said: list[str] = []
        self.fails = fails
        self.progress = SimpleNamespace(say=lambda said, style="": self.said.append(said))
        self.settings = SimpleNamespace(training=SimpleNamespace(max_retreats=3))
        spec = partial(SimpleNamespace, key="key")
        self.laboratory = SimpleNamespace(inherit=self.die, spec=lambda *arguments: spec(seed=arguments[2]))

    def die(self, *arguments: Any) -> Any:
        raise JobTimedOutError("it took longer than allowed")

    def trial(self, spec: Any, role: str, generation: int | None, edit: str | None) -> Any:
        if self.fails(edit or role):
            raise TrainingError("its loss exploded")
        return SimpleNamespace(key="t", state_sha256="s", samples=1, steer_loss=0.5)

    def seed(self, replicate: int) -> int:
        return replicate

    def each(self, calls: Any) -> list[Any]:
        return [call() for call in calls]

    def both(self, one: Any, other: Any) -> tuple[Any, Any]:
        return one(), other()

    def has_decided(self, question: str) -> bool:
        return question in self.decisions

    def decided(self, question: str, decide: Any) -> Any:
        return self.decisions.setdefault(question, decide())

    def count_failure(self) -> None:
        self.failed += 1


def test_a_failure_is_told_again_and_other_errors_are_none() -> None:
    study: Any = FakeStudy()
    assert attempted(study, "to train a", study.die) == Failed("it took longer than allowed")
    assert attempted(study, "to train a", lambda: 1) == Failed("it took longer than allowed")
    assert study.decisions == {"failed to train a": "it took longer than allowed"}
    assert attempted(study, "to train b", lambda: 1) == 1
    assert study.failed == 2
    with pytest.raises(ZeroDivisionError):
        attempted(study, "to train c", lambda: 1 / 0)
    assert len(study.decisions) == 1


def test_an_edit_that_a_worker_dies_of_is_refused() -> None:
    study: Any = FakeStudy()
    proposal = Proposal(name="widen_layer", edit=ADAMW, reason="")
    generation = Generation(study, CLOCKLESS, contest_of(study).trunk, 1)
    for _ in range(2):
        came = generations.apply_edit(generation, proposal, 0)
        assert came == Failed("it took longer than allowed")
        study.laboratory.inherit = lambda *arguments: pytest.fail("it was tried again")


def test_edits_are_measured_before_anything_is_trained_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def noted(name: str, result: Any) -> Callable[..., Any]:
        return lambda *arguments: order.append(name) or result

    monkeypatch.setattr(generations, "evaluate", noted("evaluate", None))
    monkeypatch.setattr(generations, "propose_edits", noted("propose", ()))
    monkeypatch.setattr(generations, "fit_edits", noted("fit", ([], [])))
    monkeypatch.setattr(generations, "train_control", noted("control", Failed("its loss exploded")))
    study: Any = FakeStudy()
    study.settings.objective = SimpleNamespace(is_pareto=False)
    plan: Any = SimpleNamespace(begun_per_generation=1, halving=False)
    assert generations.run_generation(study, plan, None, (), 3) is None  # type: ignore[arg-type]
    assert order == ["evaluate", "propose", "fit", "control"]
    assert list(study.decisions.values()) == ["the control of generation 3 came to nothing: its loss exploded"]


@pytest.mark.parametrize(("came", "expected"), [(0.4, 0.4), (Failed("its loss exploded"), 0.5)])
def test_half_trained_edits_are_held_against_the_control_after_as_much(
    came: float | Failed, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    names = ("samples", "epoch", "learning_rate", "batch_size", "train_loss", "steer_error", "seconds")
    look = CurvePoint(**dict.fromkeys(names, 1), steer_loss=came) if isinstance(came, float) else came  # type: ignore[arg-type]
    monkeypatch.setattr(generations, "begin_control", lambda *arguments: look)
    monkeypatch.setattr(generations, "demanded_by_limits", lambda *arguments: [])
    monkeypatch.setattr(generations, "survivors", lambda begun, loss, *others: seen.append(loss) or [])
    study: Any = FakeStudy()
    study.settings.objective = SimpleNamespace(margin=0.0)
    trunk: Any = SimpleNamespace(trained=SimpleNamespace(recipe=None, first=SimpleNamespace(steer_loss=0.5)))
    assert generations.halve_edits(Generation(study, CLOCKLESS, trunk, 1), []) == ([], [])
    assert seen == [expected]


def contest_of(study: Any) -> Contest:
    trial: Any = SimpleNamespace(key="trunk", state_sha256="s", samples=1000, seconds=10.0)
    trunk = Trunk(Trained(tiny_recipe(), (trial,), None), 0)  # type: ignore[arg-type]
    return Contest(study, trunk, rungs_of(900, RACE_RUNGS), "optimisers")


def test_a_contest_without_a_control_leaves_the_trunk_as_it_was() -> None:
    study = FakeStudy(lambda name: name == "control")
    contest = contest_of(study)
    control = climb_control(contest)
    assert control == Failed("its loss exploded")
    assert settle(contest, control, []) is contest.trunk
    assert study.said == ["the contest of optimisers is not judged, as its control came to nothing: its loss exploded"]


def test_an_entrant_that_cannot_even_begin_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    study = FakeStudy(lambda name: pytest.fail("it was trained"))
    other = tiny_recipe(optimizer=ADAMW.updated(target="torch.optim.SGD", arguments={}))
    (contender,) = halve(contest_of(study), [("set_optimizer sgd", other)])
    assert contender.climbed is None
    assert contender.child.refused == "it took longer than allowed"


def test_gears_without_the_head_of_a_fold_leave_the_trunk_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    study: Any = FakeStudy()
    study.settings.seed = 0
    trunk = contest_of(study).trunk
    monkeypatch.setattr(gears, "gear_rates", lambda study: (0.1,))
    monkeypatch.setattr(gears, "num_folds", lambda study, recipe: 2)
    monkeypatch.setattr(gears, "split_folds", lambda *arguments: ["one", "two"])
    monkeypatch.setattr(gears, "_head_of_fold", lambda *arguments: Failed("its loss exploded"))
    planted: Any = SimpleNamespace(first=None)
    assert gears.thaw(study, CLOCKLESS.updated(thaw_samples=1), trunk, planted) is trunk
    assert study.said[1:] == ["gears are not judged, as the head of a fold came to nothing: its loss exploded"]


def ended(study: Any, monkeypatch: pytest.MonkeyPatch, plan: Any = CLOCKLESS) -> Any:
    """What the study could end with: the final trainings that *confirm* is opened for, by name."""
    study.clock, study.energy = SimpleNamespace(seconds=0.0), SimpleNamespace(wh=0.0)
    study.settings.schedule = SimpleNamespace(target="Cosine")
    study.settings.objective = SimpleNamespace(is_pareto=False)
    study.laboratory.spec = lambda recipe, piece, seed, start=None: SimpleNamespace(
        key="scratch" if start is None else "on", recipe=recipe, slice=piece, seed=seed, start=start
    )
    monkeypatch.setattr(finals, "confirm_final", lambda study, trunk, trained: trained)
    monkeypatch.setattr(finals, "first_step", lambda spec, trial: None)
    monkeypatch.setattr(finals, "next_step", lambda spec, trial: None)
    trunk = contest_of(study).trunk
    return finals.train_final(study, plan, trunk, [], trunk.trained.recipe)


@pytest.mark.parametrize("lost", ["continued", "from scratch"])
def test_a_final_training_that_fails_is_left_out(lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    study: Any = FakeStudy(lambda name: name == f"final: {lost}")
    (other,) = {"continued", "from scratch"} - {lost}
    for _ in range(2):
        assert ended(study, monkeypatch).keys() == {other}
        study.fails = lambda name: name == f"final: {lost}" and pytest.fail("it was trained again")
    assert study.said == [f"final: {lost} is left out: its loss exploded"] * 2
    key = "on" if lost == "continued" else "scratch"
    assert study.decisions[f"failed to train {key}"] == "its loss exploded"


def test_where_all_final_trainings_fail_the_run_ends_and_a_later_one_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study: Any = FakeStudy()
    for _ in range(2):
        with pytest.raises(TrainingError, match="its loss exploded"):
            ended(study, monkeypatch)
    study.fails = lambda name: False
    assert ended(study, monkeypatch).keys() == {"continued"}
    assert study.said == ["final: from scratch is left out: its loss exploded"]


def test_the_only_final_training_is_tried_once_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    study: Any = FakeStudy(lambda name: asked.append(name) is None)
    with pytest.raises(TrainingError, match="its loss exploded"):
        ended(study, monkeypatch, CLOCKLESS.without_scratch())
    assert asked == ["final: continued"]
    assert study.decisions == {"final samples": 20_000}
