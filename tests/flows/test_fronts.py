"""What a study under objective=pareto ends with: which networks are trained on, at what cost; without a worker."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flows import finals, tuning
from flows.deploying import _kept_edits
from flows.limits import within_limits
from modules.architecture.start import first_architecture
from modules.config import resolve
from modules.records import Part, Step, TrialResult
from modules.search.final import FinalTraining
from modules.search.front import Member, front_of
from modules.search.generation import Trained, Trunk
from modules.search.judging import Evidence
from modules.search.pace import RESERVED_SECONDS, Calibration
from modules.search.plan import Plan
from modules.search.tries import Try, Tuning
from modules.space import Real, Space
from tests.unit.random_networks import recipe_of
from tests.unit.report.made_up_study import made_up_view

WIDTHS = (0.25, 0.5, 1.0, 1.5, 2.0)
PLAN = Plan(
    baseline_samples=4000,
    generations=3,
    edits_per_generation=3,
    slice_samples=1000,
    continued_samples=10_000,
    scratch_samples=0,
    front_size=5,
    evaluate_every=1000,
)
CLOCK = PLAN.updated(
    minutes=10.0, seconds=500.0, may_grow=True, calibration=Calibration(samples_per_second=100, evaluation_seconds=0)
)


class FakeStudy:
    """A study as far as the end of a front goes."""

    def __init__(self, *overrides: str, seconds_left: float = 0.0, wh: float = 0.0) -> None:
        self.settings = resolve(["objective=pareto", *overrides])
        self.clock = SimpleNamespace(seconds=600.0 - RESERVED_SECONDS - seconds_left)
        self.energy = SimpleNamespace(wh=wh)
        self.laboratory = SimpleNamespace(latency_ms=lambda architecture: 1.0)
        self.said: list[str] = []
        self.progress = SimpleNamespace(say=lambda said, style="": self.said.append(said))

    def decided(self, question: str, decide: Any) -> Any:
        return decide()

    def each(self, calls: Any) -> list[Any]:
        return [call() for call in calls]


def member(width: float, seconds: float = 10.0) -> Member:
    architecture = first_architecture((1, 8, 8), 3, 6_000, (0.5,), (0.2,), width)
    trial = TrialResult.model_construct(key=f"{width}", seed=0, samples=1000, seconds=seconds)
    evidence = Evidence(np.full((1, 4), 1 / width), np.zeros((1, 4), dtype=bool))
    return Member(Trained(recipe_of(architecture), (trial,), evidence), 1000, ())


FRONT = front_of([member(width) for width in WIDTHS])


def trained(
    monkeypatch: pytest.MonkeyPatch, study: FakeStudy, plan: Plan, front: Any = FRONT
) -> list[tuple[float, int, str]]:
    """The widths that are trained to the end, for how many samples, and as what."""
    done: list[tuple[float, int, str]] = []

    def cool_down(study: Any, plan: Plan, start: Member, samples: int, role: str, train: Any) -> FinalTraining:
        done.append((1 / start.trained.evidence.loss, samples, role))
        return FinalTraining(start.trained.recipe, start.trained.first, "parent")

    monkeypatch.setattr(finals, "_cool_down", cool_down)
    monkeypatch.setattr(finals, "confirm_final", lambda study, trunk, trained: trained)
    trunk = Trunk(front[0].trained, 0)
    finals.train_final(study, plan, trunk, front, front[0].trained.recipe)  # type: ignore[arg-type]
    return done


def test_all_members_that_were_planned_share_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    done = trained(monkeypatch, FakeStudy(), PLAN)
    assert done == [(width, 2000, f"final: front {5 - place}") for place, width in enumerate(WIDTHS[::-1])]


def test_once_the_watt_hours_are_used_up_the_lowest_loss_alone_is_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one[0] for one in trained(monkeypatch, FakeStudy(wh=1.0), PLAN.updated(wh=1.0))] == [2.0]


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, 1), (11.0, 1), (22.0, 2), (32.0, 3), (500.0, 5)])
def test_where_the_time_is_short_fewer_members_are_trained_for_a_slice_at_least(
    monkeypatch: pytest.MonkeyPatch, seconds: float, expected: int
) -> None:
    study = FakeStudy(seconds_left=seconds)
    done = trained(monkeypatch, study, CLOCK)
    assert len(done) == expected
    assert done[0][0] == 2.0
    assert all(samples >= CLOCK.slice_samples for _, samples, _ in done)
    assert any(f"{expected} of the front's 5 networks" in said for said in study.said)


def test_members_are_as_slow_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    paces = {0.25: 10.0, 2.0: 50.0}
    front = front_of([member(width, seconds) for width, seconds in paces.items()])
    done = trained(monkeypatch, FakeStudy(seconds_left=300.0), CLOCK, front)
    assert len(done) == 2
    assert 0.9 * 300.0 < sum(samples / 1000 * paces[width] for width, samples, _ in done) <= 300.0


def test_members_beyond_a_limit_are_left_out_where_any_is_within_it(monkeypatch: pytest.MonkeyPatch) -> None:
    study = FakeStudy(f"objective.max_params={FRONT[2].cost.params}")
    assert within_limits(study, FRONT) == [*FRONT[:3]]  # type: ignore[arg-type]
    assert study.said == ["2 of 5 networks of the front exceed a limit and are left out"]
    assert [one[0] for one in trained(monkeypatch, study, PLAN)] == [1.0, 0.5, 0.25]


def test_a_front_that_no_generation_brought_within_a_limit_is_said() -> None:
    study = FakeStudy("objective.max_params=1")
    assert within_limits(study, FRONT) == FRONT  # type: ignore[arg-type]
    assert "above objective.max_params=1: the generations were too few" in study.said[0]


def test_of_a_sweeps_front_the_lowest_loss_comes_first_and_the_cheapest_is_the_first_in_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    space = Space(name="made-up", parameters=(Real(key="rate", low=0, high=1),))
    tries = tuple(
        Try(number=place, values={}, state="complete", losses=(1 / width,), params=place, flops=place + 1)
        for place, width in enumerate(WIDTHS)
    )
    account = Tuning(when="sweep", space=space, figures=("loss", "params", "flops"), tries=tries)
    search = SimpleNamespace(run=lambda how_many: account, climbed=dict(enumerate(WIDTHS)))
    monkeypatch.setattr(tuning, "Search", lambda *arguments: search)
    settings = SimpleNamespace(
        search=SimpleNamespace(space=space),
        objective=SimpleNamespace(front_size=5),
        augmentation=SimpleNamespace(transforms={}, candidates=()),
    )
    laboratory = SimpleNamespace(data=SimpleNamespace(num_images={"train": 1000}))
    study: Any = SimpleNamespace(settings=settings, laboratory=laboratory)
    found = tuning.sweep(study, PLAN.updated(try_samples=900), None)[1]  # type: ignore[arg-type]
    assert [*found.items()] == [(f"front {place + 1}", width) for place, width in enumerate(WIDTHS)][::-1]


def test_the_card_has_the_edits_that_led_to_the_winner_and_not_those_of_other_branches() -> None:
    generations = [
        record.updated(
            rows=tuple(
                row.updated(proposed=Part(target=row.edit)) if row.edit != "control" else row for row in record.rows
            )
        )
        for record in made_up_view(2).ledger.generations
    ]
    branch, taken = (
        next(row for row in generations[0].rows if row.kept is kept and row.proposed) for kept in (True, False)
    )
    later = next(row for row in generations[1].rows if row.kept)
    lineage = tuple(
        Step(trial=row.trials[0], seed=0, slice={}, schedule=Part(target="constant"), edit=row.proposed)
        for row in (taken, later)
    )
    trunk: Any = SimpleNamespace(generations=generations)
    final: Any = SimpleNamespace(winner=SimpleNamespace(lineage=lineage))
    kept = f"{later.description}: {later.verdict}"
    assert _kept_edits(FakeStudy(), trunk, final) == (f"{taken.description}: it led to the front", kept)  # type: ignore[arg-type]
    plain: Any = SimpleNamespace(settings=resolve([]))
    assert _kept_edits(plain, trunk, final) == (f"{branch.description}: {branch.verdict}", kept)
