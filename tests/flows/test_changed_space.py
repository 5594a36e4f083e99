"""A search whose space has changed: what was tried is not lost, is not paid for again, and comes once."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from flows.points import Points
from flows.tuning import Search, _tries_of_sweep
from modules.search.plan import Plan
from modules.search.rungs import cost
from modules.search.tries import Tuning
from modules.space import Choice, Real, Space
from modules.workers.pool import WorkerDiedError
from tests.flows.formula_study import RUNGS, SPACE, FormulaStudy, search_by_formula

WIDER = Space(name="made-up", parameters=(Real(key="rate", low=1e-5, high=1.0, log=True), SPACE.parameters[1]))
OWN = {"rate": 0.01, "x": 0.5}
KEPT = "this study, before its space changed"
NONE = dict.fromkeys(
    ("baseline_samples", "generations", "edits_per_generation", "slice_samples", "continued_samples"), 0
)
PLAN = Plan(**NONE, scratch_samples=0, evaluate_every=1, try_samples=900, tries=12, sweep_samples=12 * cost(RUNGS))


@pytest.fixture(autouse=True)
def _formula(monkeypatch: pytest.MonkeyPatch) -> None:
    search_by_formula(monkeypatch)
    monkeypatch.setattr(Points, "own", lambda search: OWN)


def swept(study: FormulaStudy, space: Space, plan: Plan = PLAN) -> Tuning:
    search = Search(study, "sweep", space, None, RUNGS)  # type: ignore[arg-type]
    return search.run(partial(_tries_of_sweep, study, plan))  # type: ignore[arg-type]


def values(tuning: Tuning) -> list[dict[str, Any]]:
    return [one.values for one in tuning.tries]


def test_a_finished_sweep_whose_space_is_widened_proposes_as_many_as_before():
    study = FormulaStudy()
    before = swept(study, SPACE)
    trained = list(study.trained)
    after = swept(study, WIDER)
    assert values(after)[:12] == values(before)
    origins = [one.origin for one in after.tries]
    assert origins == ["the configuration", *[KEPT] * 11, *["proposed"] * 11]
    assert len(study.trained) > len(trained)
    assert not set(study.trained[len(trained) :]) & set(trained)
    assert swept(study, WIDER) == after


def test_a_failed_try_does_not_lose_those_that_came_after_it():
    study = FormulaStudy()
    before = swept(study, SPACE)
    states = [one.state for one in before.tries]
    assert "failed" in states[:-1]
    after = swept(study, WIDER)
    assert [one.state for one in after.tries[:12]] == states


def test_a_try_that_failed_by_chance_has_failed_for_good():
    class Unlucky(FormulaStudy):
        asked = 0

        def train(self, spec: Any) -> Any:
            self.asked += 1
            if self.asked == 3:
                raise WorkerDiedError("the process was ended")
            return super().train(spec)

    study = Unlucky()
    one = swept(study, SPACE)
    assert any("the process was ended" in tried.reason for tried in one.tries)
    trained = list(study.trained)
    assert swept(study, SPACE) == one
    assert study.trained == trained


def test_of_a_batch_that_was_not_finished_what_came_to_its_end_is_kept():
    whole = FormulaStudy(at_once=4)
    swept(whole, SPACE, PLAN.updated(tries=8))

    class Killed(FormulaStudy):
        def train(self, spec: Any) -> Any:
            if spec.key == whole.trained[-1]:
                raise KeyboardInterrupt
            return super().train(spec)

    study = Killed(at_once=4)
    with pytest.raises(KeyboardInterrupt):
        swept(study, SPACE, PLAN.updated(tries=8))
    study.train = partial(FormulaStudy.train, study)  # type: ignore[method-assign]
    after = swept(study, WIDER, PLAN.updated(tries=8))
    assert [one.origin for one in after.tries].count(KEPT) == 6  # with the configuration seven of eight


def test_what_an_earlier_study_ended_with_is_tried_once(monkeypatch):
    lesson = {"rate": 0.02, "x": 0.25}
    monkeypatch.setattr(Points, "of_lesson", lambda search, one, own: lesson)
    study = FormulaStudy()
    study.prior = SimpleNamespace(winners=lambda data: (SimpleNamespace(study="other"),))
    swept(study, SPACE)
    assert values(swept(study, WIDER)).count(lesson) == 1


def test_a_space_file_that_was_only_moved_has_not_changed():
    study = FormulaStudy()
    here, there = (Space(name="mine", parameters=SPACE.parameters, path=f"/{name}/mine.yaml") for name in ("a", "b"))
    assert values(swept(study, there)) == values(swept(study, here))


@pytest.mark.parametrize(
    ("when", "default", "keys", "whole"),
    [
        ("sweep", True, ["training.learning_rate"], False),
        ("sweep", False, ["training.learning_rate"], True),  # the schedule was asked for
        ("before", False, ["training.learning_rate"], False),  # around a trunk
        ("sweep", True, ["schedule"], True),
    ],
)
def test_a_schedule_that_was_asked_for_is_trained_under(when: Any, default: bool, keys: list[str], whole: bool) -> None:
    study: Any = FormulaStudy()
    study.settings.has_default_schedule = default
    space = Space(name="mine", parameters=tuple(Choice(key=key, values=("a", "b")) for key in keys))
    assert Search(study, when, space, None, RUNGS).trains_whole_schedules is whole  # type: ignore[arg-type]
