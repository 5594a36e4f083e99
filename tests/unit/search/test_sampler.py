"""Points of a space: what is asked follows from the seed and what was told, lies in the space, and gets better."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.search.sampler import HALVING, Sampler, conditional_importances, importances
from modules.search.tries import Try, Tuning
from modules.space import Choice, Condition, Real, Space, Whole

SPACE = Space(
    name="made-up",
    parameters=(
        Choice(key="optimizer", values=("adamw", "sgd")),
        Whole(key="training.batch_size", low=16, high=64, step=16),
        Real(key="rate", low=1e-4, high=1.0, log=True, condition=Condition(key="optimizer", values=("adamw",))),
        Real(key="rate", low=1e-2, high=10.0, log=True, condition=Condition(key="optimizer", values=("sgd",))),
        Real(key="momentum", low=0.0, high=0.9, step=0.1, condition=Condition(key="optimizer", values=("sgd",))),
    ),
)


def loss_of(values, rung=2):
    best = 0.01 if values["optimizer"] == "adamw" else 0.3
    return abs(math.log10(values["rate"] / best)) + (values["optimizer"] == "sgd") * 0.5 + 0.3 / (rung + 1)


def searched(count, seed=0, first=(), rungs=3):
    sampler = Sampler(SPACE, seed, rungs, first=first)
    tries = []
    for _ in range(count):
        asked = sampler.ask()
        losses, state = [], "complete"
        for rung in range(rungs):
            losses.append(loss_of(asked.values, rung))
            if sampler.should_stop(asked, rung, losses[-1]):
                state = "stopped"
                break
        sampler.tell(asked, [losses[-1]] if state == "complete" else None)
        tries.append(Try(number=asked.number, values=asked.values, state=state, losses=tuple(losses), error=0.1))
    return tries


def test_the_same_seed_asks_the_same_and_a_shorter_search_is_its_beginning():
    whole = searched(20)
    assert whole == searched(20)
    assert whole[:7] == searched(7)
    assert whole != searched(20, seed=1)


@given(st.integers(0, 2**63 - 1))
def test_every_point_lies_in_the_space(seed):
    sampler = Sampler(SPACE, seed)
    for _ in range(3):
        asked = sampler.ask()
        assert SPACE.contains(asked.values), asked
        sampler.tell(asked, [loss_of(asked.values)])


def test_first_points_are_tried_first():
    first = [{"optimizer": "sgd", "training.batch_size": 32, "rate": 0.5, "momentum": 0.9}]
    (one, *_) = searched(3, first=first)
    assert one.values == first[0]


def test_what_falls_behind_is_stopped_and_what_is_best_is_not():
    tries = searched(40)
    stopped = [one for one in tries if one.state == "stopped"]
    assert 5 < len(stopped) < 35
    best = Tuning(when="sweep", space=SPACE, tries=tuple(tries)).best
    assert best is not None
    assert best.values["optimizer"] == "adamw"
    assert all(loss_of(best.values) <= loss_of(one.values) for one in tries if one.state == "complete")


@pytest.mark.parametrize("rungs", [1, 2, 3])
def test_it_learns(rungs):
    tries = searched(40, rungs=rungs)
    early, late = ([loss_of(one.values) for one in part] for part in (tries[:10], tries[-10:]))
    assert sorted(late)[5] < sorted(early)[5]


def test_several_figures_make_a_front_and_nothing_is_stopped():
    sampler = Sampler(SPACE, 0, rungs=3, figures=2)
    for number in range(12):
        asked = sampler.ask()
        assert not sampler.should_stop(asked, 0, 100.0)
        sampler.tell(asked, [loss_of(asked.values), float(number)] if number else None)
    assert HALVING == 3


def made_up(number, loss, params, state="complete"):
    return Try(number=number, values={}, state=state, losses=(loss,), params=params, flops=params)


def test_the_front_by_hand():
    tries = (
        made_up(0, 1.0, 10),
        made_up(1, 0.5, 20),
        made_up(2, 0.6, 30),
        made_up(3, 0.1, 40),
        made_up(4, 0.0, 1, "stopped"),
    )
    tuning = Tuning(when="sweep", space=SPACE, figures=("loss", "params"), tries=tries)
    assert [one.number for one in tuning.front] == [0, 1, 3]
    assert tuning.best is not None
    assert tuning.best.number == 3


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [3]), (2, [0, 3]), (3, [0, 3, 5]), (5, [0, 1, 2, 3, 5]), (9, [*range(6)])]
)
def test_members_of_a_front_cover_it_and_the_best_is_one_of_them(count, expected):
    """The dearest has few parameters, so that one which is not the dearest has the lowest loss."""
    flops, params, losses = (1, 2, 4, 16, 20, 32), (50, 51, 52, 53, 40, 30), (0.9, 0.8, 0.7, 0.1, 0.6, 0.5)
    tries = [
        Try(number=number, values={}, state="complete", losses=(loss,), params=size, flops=cost)
        for number, (cost, size, loss) in enumerate(zip(flops, params, losses, strict=True))
    ]
    tuning = Tuning(when="sweep", space=SPACE, figures=("loss", "params", "flops"), tries=tuple(tries))
    assert len(tuning.front) == 6
    assert [one.number for one in tuning.spaced(count)] == expected


def test_importances_tell_what_mattered_from_what_did_not():
    parameters = (Real(key="matters", low=0, high=1), Real(key="idle", low=0, high=1))
    space = Space(name="two", parameters=parameters)
    values = [{"matters": (n % 17) / 17, "idle": (n * 7 % 13) / 13} for n in range(60)]
    tries = [Try(number=n, values=each, state="complete", losses=(each["matters"],)) for n, each in enumerate(values)]
    found = importances(space, tries)
    assert found["matters"] > 3 * found["idle"]
    assert sum(found.values()) == pytest.approx(1)
    assert importances(space, tries[:5]) == {}


def test_what_only_some_tries_have_is_compared_among_these():
    condition = Condition(key="optimizer", values=("sgd",))
    parameters = (
        Choice(key="optimizer", values=("adamw", "sgd")),
        Real(key="idle", low=0, high=1),
        Real(key="momentum", low=0, high=1, condition=condition),
        Real(key="rate", low=0, high=1, condition=Condition(key="optimizer", values=("adamw",))),
    )
    space = Space(name="conditional", parameters=parameters)
    values = [{"optimizer": "sgd", "idle": (n * 7 % 13) / 13, "momentum": (n % 17) / 17} for n in range(60)]
    tries = [Try(number=n, values=each, state="complete", losses=(each["momentum"],)) for n, each in enumerate(values)]
    found = conditional_importances(space, tries)
    assert list(found) == ["momentum (optimizer=sgd)"]  # no try with adamw
    assert found["momentum (optimizer=sgd)"] > 0.7
    assert set(importances(space, tries)) == {"optimizer", "idle"}
    assert conditional_importances(space, tries[:5]) == {}
