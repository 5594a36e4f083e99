"""Tries of a batch: whoever comes to a rung first, the same is asked, stopped and told; without a worker."""

import threading
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from flows.contests import _tries_of_contest
from flows.side_by_side import side_by_side
from flows.tuning import Search, _climb_up, _tries_of_sweep, whole_tries, within_clock
from modules.errors import TrainingError
from modules.search.pace import Calibration
from modules.search.plan import Plan
from modules.search.rungs import cost
from tests.flows.formula_study import IN_TURN, RUNGS, SPACE, FormulaStudy, search_by_formula

SIDE_BY_SIDE = {
    "in turn": IN_TURN,
    "backwards": lambda calls: [call() for call in reversed(calls)][::-1],
    "threads": lambda calls: side_by_side(calls, give_up=lambda: None),
}


@pytest.fixture(autouse=True)
def _formula(monkeypatch: pytest.MonkeyPatch) -> None:
    search_by_formula(monkeypatch)
    monkeypatch.setattr(Search, "_first_points", lambda search, how_many: {})


def searched(study: FormulaStudy, count: int = 24) -> Any:
    search = Search(study, "sweep", SPACE, None, RUNGS)  # type: ignore[arg-type]
    at_once = study.settings.search.tries_at_once
    return search.run(lambda search: min(at_once, count - len(search.tries))).model_copy(update={"importances": {}})


def test_a_batch_is_the_same_whoever_comes_first():
    accounts = {name: searched(FormulaStudy(each, at_once=4)) for name, each in SIDE_BY_SIDE.items()}
    one = accounts["in turn"]
    assert one == accounts["backwards"] == accounts["threads"]
    assert {tried.state for tried in one.tries} == {"complete", "stopped", "failed"}
    assert [tried.number for tried in one.tries] == list(range(24))


def test_what_is_asked_together_does_not_know_of_each_other():
    alone, together = (searched(FormulaStudy(SIDE_BY_SIDE["in turn"], at_once=number)) for number in (1, 4))
    assert [one.values for one in alone.tries] != [one.values for one in together.tries]
    values = [tuple(one.values.values()) for one in together.tries]
    assert len(set(values)) == len(values)


def test_all_of_a_batch_climb_at_once():
    under_way, most = [0], [0]
    lock, all_there = threading.Lock(), threading.Barrier(3)

    class Slow(FormulaStudy):
        def trial(self, spec: Any, *place: Any, **shown: Any) -> Any:
            if spec.rung == 0:
                with lock:
                    under_way[0] += 1
                    most[0] = max(most[0], under_way[0])
                all_there.wait(10)
                with lock:
                    under_way[0] -= 1
            return super().trial(spec, *place, **shown)

    searched(Slow(SIDE_BY_SIDE["threads"], at_once=3), count=3)
    assert most[0] == 3


def test_of_a_batch_the_best_is_asked_first_whether_it_goes_on():
    asked: list[float] = []

    class Stops:
        def should_stop(self, one: Any, rung: int, loss: float) -> bool:
            asked.append(loss)
            return False

        def tell(self, one: Any, figures: Any) -> None:
            pass

    losses = (3.0, 1.0, 2.0)
    ways = [
        SimpleNamespace(state=None, asked=loss, climbed=True, losses=(loss,), figures=[loss],
                        search=SimpleNamespace(rungs=RUNGS[:1]))
        for loss in losses
    ]  # fmt: skip
    _climb_up(ways, Stops(), lambda ways, rung: None)  # type: ignore[arg-type]
    assert asked == sorted(losses)


def test_workers_that_have_nothing_to_do_are_named():
    idle, busy = FormulaStudy(SIDE_BY_SIDE["in turn"], workers=2), FormulaStudy(SIDE_BY_SIDE["in turn"], 2, workers=2)
    for study in (idle, busy):
        searched(study, count=1)
    assert any("search.tries_at_once=2" in said for said in idle.said)
    assert not any("tries_at_once" in said for said in busy.said)


def test_as_many_begin_as_there_are_samples_for():
    first, whole = cost(RUNGS[:1]), cost(RUNGS)
    enough_for = {-1: 0, first - 1: 0, first: 1, whole: 1, 2 * whole: 2, 3 * whole - 1: 2}
    assert {samples: whole_tries(RUNGS, samples) for samples in enough_for} == enough_for


def test_a_clock_lets_as_many_begin_as_it_has_time_for_and_is_asked_once():
    calibration = Calibration(samples_per_second=100, evaluation_seconds=0)
    none = dict.fromkeys(
        ("baseline_samples", "generations", "edits_per_generation", "slice_samples", "continued_samples"), 0
    )
    plan = Plan(**none, scratch_samples=0, evaluate_every=1, minutes=1.0, calibration=calibration)
    study = FormulaStudy()
    search = SimpleNamespace(when="sweep", tries=[])
    seconds = plan.seconds_left(0.0)
    assert seconds is not None
    each = int(seconds * 100 / 2.5)
    assert within_clock(study, plan, search, 4, each, 1.0) == 2  # type: ignore[arg-type]
    study.clock.seconds = 1000.0
    assert within_clock(study, plan, search, 4, each, 1.0) == 2  # type: ignore[arg-type]
    search.tries = [None]
    assert within_clock(study, plan, search, 4, each, 1.0) == 0  # type: ignore[arg-type]
    assert within_clock(study, plan.updated(calibration=None), search, 4, each, 1.0) == 4  # type: ignore[arg-type]


def swept(plan: Plan, failing: bool = False, target_error: float | None = None) -> tuple[int, int]:
    """How many tries a sweep makes under a plan, and their samples."""
    study = FormulaStudy()
    study.settings.budget.target_error = target_error
    if failing:
        study.trial = _failing  # type: ignore[method-assign]
    search = Search(study, "sweep", SPACE, None, RUNGS)  # type: ignore[arg-type]
    tuning = search.run(partial(_tries_of_sweep, study, plan))  # type: ignore[arg-type]
    return len(tuning.tries), sum(one.samples for one in tuning.tries)


def _failing(*place: Any, **shown: Any) -> Any:
    raise TrainingError("its loss exploded")


NONE = dict.fromkeys(
    ("baseline_samples", "generations", "edits_per_generation", "slice_samples", "continued_samples"), 0
)
SWEEP = Plan(**NONE, scratch_samples=0, evaluate_every=1, try_samples=900)


def test_a_sweep_keeps_to_its_samples_and_to_its_number_of_tries():
    whole = cost(RUNGS)
    assert swept(SWEEP.updated(tries=4, sweep_samples=4 * whole))[0] == 4
    tries, samples = swept(SWEEP.updated(tries=40, sweep_samples=5 * whole))
    assert tries < 40
    assert samples <= 5 * whole
    assert swept(SWEEP.updated(sweep_samples=1))[0] == 1  # a first one has to come to its end


def test_a_sweep_ends_where_a_complete_try_has_the_error_that_was_asked_for():
    study = FormulaStudy()
    study.settings.budget.target_error = 0.05
    search = Search(study, "sweep", SPACE, None, RUNGS)  # type: ignore[arg-type]
    plan = SWEEP.updated(tries=200, sweep_samples=200 * cost(RUNGS))
    tuning = search.run(partial(_tries_of_sweep, study, plan))  # type: ignore[arg-type]
    *before, last = tuning.tries
    assert last.state == "complete"
    assert last.error is not None
    assert last.error <= 0.05
    assert all(one.state != "complete" or one.error is None or one.error > 0.05 for one in before)
    assert tuning.ended_by.startswith("the target was reached: ")
    assert swept(plan.updated(tries=5), target_error=1e-9)[0] == 5


def test_a_sweep_that_the_clock_ends_says_so():
    study = FormulaStudy()
    calibration = Calibration(samples_per_second=1000, evaluation_seconds=0)
    plan = SWEEP.updated(sweep_samples=9 * cost(RUNGS), minutes=1.0, calibration=calibration)
    study.clock.seconds = 1000.0
    search = Search(study, "sweep", SPACE, None, RUNGS)  # type: ignore[arg-type]
    tuning = search.run(partial(_tries_of_sweep, study, plan))  # type: ignore[arg-type]
    assert len(tuning.tries) == 1
    assert "no room for another try" in tuning.ended_by


def test_a_sweep_whose_every_try_fails_ends():
    tries, samples = swept(SWEEP.updated(sweep_samples=3 * cost(RUNGS)), failing=True)
    assert samples == 0
    assert 3 <= tries <= 3 * cost(RUNGS) // cost(RUNGS[:1])


def test_a_contest_whose_every_try_fails_ends():
    study = FormulaStudy()
    study.trial = _failing  # type: ignore[method-assign]
    search = Search(study, "before", SPACE, None, RUNGS)  # type: ignore[arg-type]
    tuning = search.run(partial(_tries_of_contest, study, SWEEP, 3 * cost(RUNGS), slowdown=1.0))  # type: ignore[arg-type]
    assert 3 <= len(tuning.tries) <= 3 * cost(RUNGS) // cost(RUNGS[:1])
