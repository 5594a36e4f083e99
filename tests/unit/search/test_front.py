from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_networks import recipe_of

from modules.architecture.start import first_architecture
from modules.evaluation.outputs import Outputs
from modules.records import GenerationRecord, LedgerRow, Part, TrialResult
from modules.search.final import Finalist, FinalTraining
from modules.search.front import (
    Member,
    confirmed_front,
    front_of,
    generations_in_vain,
    grown_front,
    next_parent,
    spaced,
    trunk_at,
)
from modules.search.generation import Child, Trained, Trunk
from modules.search.judging import Evidence
from modules.search.pareto import covering, dominates
from modules.search.proposal import Proposal

PIECE = {"samples": 100, "evaluate_every": 100}


def trained(width: float, loss: float, name: str = "trial") -> Trained:
    architecture = first_architecture((1, 8, 8), 3, 6_000, (0.5,), (0.2,), width)
    trial = TrialResult.model_construct(key=f"{name}-{width}-{loss}", seed=0, samples=100)
    evidence = Evidence(np.full((1, 4), loss), np.zeros((1, 4), dtype=bool))
    return Trained(recipe_of(architecture), (trial,), evidence)


def member(width: float, loss: float, parents: int = 0) -> Member:
    return Member(trained(width, loss), 100, (), parents)


def child(width: float, loss: float) -> Child:
    edit = Part(target="edit", arguments={"width": width})
    proposal = Proposal(name="edit", edit=edit, reason="")
    return Child(proposal=proposal, description="an edit", trained=trained(width, loss))


FIGURES = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))


@given(st.lists(st.tuples(st.sampled_from([0.25, 0.5, 1.0, 1.5]), st.sampled_from([0.1, 0.2, 0.3])), max_size=8))
def test_a_front_is_what_an_obvious_search_finds(points):
    members = [member(*point) for point in points]
    front = front_of(members)
    better = [
        any(o.cost.params <= m.cost.params and o.figures[0] <= m.figures[0] and o.figures != m.figures for o in members)
        for m in members
    ]
    assert {one.figures for one in front} == {
        m.figures for m, beaten in zip(members, better, strict=True) if not beaten
    }
    assert len({one.figures for one in front}) == len(front)
    assert [one.cost.flops for one in front] == sorted(one.cost.flops for one in front)


@given(FIGURES, FIGURES)
def test_nothing_dominates_itself_or_what_dominates_it(one, other):
    assert not dominates(one, one)
    assert not (dominates(one, other) and dominates(other, one))


def test_a_generation_adds_its_children_and_puts_its_control_in_the_parents_place():
    start = member(1.0, 0.3)
    trunk = Trunk(trained=start.trained, position=100)
    control = trained(1.0, 0.25, "control")
    front = grown_front([start], trunk, control, [child(0.5, 0.28), child(1.5, 0.9)], PIECE)
    assert [one.trained.evidence.loss for one in front] == [0.28, 0.25]  # the dearer one that is worse stays out
    assert [one.parents for one in front] == [0, 1]
    assert front[0].lineage[-1].edit == Part(target="edit", arguments={"width": 0.5})
    assert front[1].lineage[-1].edit is None
    assert {one.position for one in front} == {200}


def test_the_next_parent_is_the_one_that_was_it_least_often():
    front = [member(0.5, 0.3, parents=1), member(1.0, 0.2, parents=1), member(1.5, 0.1, parents=2)]
    assert next_parent(front) is front[1]
    assert trunk_at(Trunk(trained(2.0, 9.0), 0), front[1]).best is front[1].trained.evidence


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [2.0]), (2, [0.25, 2.0]), (3, [0.25, 0.5, 2.0]), (9, [0.25, 0.5, 1.5, 2.0])]
)
def test_those_that_are_trained_to_the_end_cover_the_front(count, expected):
    front = front_of([member(width, 1 / width) for width in (0.25, 0.5, 1.5, 2.0)])
    assert [1 / one.trained.evidence.loss for one in spaced(front, count)] == expected


POINTS = st.lists(
    st.tuples(st.floats(0.01, 9.0), st.integers(1, 10**9)), min_size=1, max_size=12, unique_by=lambda point: point[1]
)


@given(POINTS, st.integers(1, 9))
def test_the_lowest_loss_is_never_left_out(points, count):
    losses, costs = zip(*sorted(points, key=lambda point: point[1]), strict=True)
    places = covering(losses, costs, count)
    assert min(losses) in {losses[place] for place in places}
    assert places == sorted(set(places))
    assert len(places) == min(count, len(points))
    if count > 2:
        assert {0, len(points) - 1} <= {*places}  # the cheapest and the dearest


def test_confirm_decides_who_stays_on_the_front():
    def finalist(width: float, loss: float) -> Finalist:
        one = trained(width, loss)
        losses = np.full(4, loss, dtype=np.float32)
        seen = Outputs(losses, np.full((4, 3), 1 / 3, dtype=np.float32), np.zeros(4, dtype=np.int64))
        return Finalist(f"front {width}", FinalTraining(one.recipe, one.first, one.recipe.content_digest), seen)

    found = confirmed_front([finalist(1.0, 0.2), finalist(0.5, 0.3), finalist(1.5, 0.25)])
    assert [one.name for one in found] == ["front 0.5", "front 1.0"]
    assert replace(found[0]) == found[0]


def test_a_generation_that_led_to_a_member_was_not_in_vain():
    start = member(1.0, 0.3)
    trunk = Trunk(trained=start.trained, position=100)
    control, grown = trained(1.0, 0.25, "control"), child(0.5, 0.28)
    front = grown_front([start], trunk, control, [grown], PIECE)
    fruitful, idle = (
        GenerationRecord.model_construct(
            number=number,
            contest=None,
            rows=(
                LedgerRow.model_construct(trials=(control.first.key,), proposed=None),
                LedgerRow.model_construct(trials=(tried.first.key,), proposed=grown.proposal.edit),
            ),
        )
        for number, tried in ((1, grown.trained), (2, trained(0.5, 0.9, "worse")))
    )
    assert generations_in_vain(front, [fruitful]) == 0
    assert generations_in_vain(front, [fruitful, idle, idle]) == 2
    assert generations_in_vain([start], [fruitful, idle]) == 2  # the control's own place on the front is no edit's
    assert generations_in_vain(front, []) == 0
