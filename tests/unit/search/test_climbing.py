"""The way over the rungs, with trainings made up: what follows what, at which rate, from which position."""

import pytest
from tiny_study import tiny_recipe

from modules.records import TrialResult
from modules.search.climbing import Ground, climb, climb_anew
from modules.search.failed import Failed
from modules.search.rungs import rungs_of
from modules.training.spec import Start


def result(key, samples, loss):
    return TrialResult(
        key=key,
        recipe="r",
        seed=0,
        state_sha256=f"state of {key}",
        weights_sha256="w",
        samples=samples,
        epochs=1.0,
        updates=1,
        params=1,
        flops=1,
        seconds=1.0,
        started_at=0.0,
        finished_at=1.0,
        peak_memory_bytes=1,
        stopped_by="the end",
        steer_loss=loss,
        steer_error=0.1,
        curve=(),
    )


class Trainings:
    def __init__(self, failing=None):
        self.done, self.failing = [], failing

    def __call__(self, recipe, piece, start):
        if len(self.done) == self.failing:
            return Failed("its loss exploded")
        self.done.append((recipe.schedule.name, piece.first_sample, piece.samples, start))
        return recipe, result(f"t{len(self.done)}", piece.samples + 3, 1 / len(self.done))


def losses_of(climbed):
    return tuple(trial.steer_loss for _, trial in climbed.branches)


def test_a_trunk_at_a_constant_rate_and_a_branch_at_each_rung():
    train, start = Trainings(), Start(kind="trials", key="parent", state_sha256="s")
    way = list(climb(tiny_recipe(), rungs_of(900, 2), Ground(start, 100), train, 3))
    after = Start(kind="trials", key="t1", state_sha256="state of t1")
    later = Start(kind="trials", key="t3", state_sha256="state of t3")
    assert train.done == [
        ("Constant", 100, 225, start),
        ("Linear", 328, 75, after),  # where the trunk stopped: batches are not cut
        ("Constant", 328, 450, after),
        ("Linear", 781, 225, later),
    ]
    assert [losses_of(each) for each in way] == [(1 / 2,), (1 / 2, 1 / 4)]
    assert [each.key for each in way[-1].others] == ["t1", "t3", "t2"]
    assert way[-1].result.key == "t4"


def test_nothing_is_trained_before_it_is_asked_for():
    train = Trainings()
    next(climb(tiny_recipe(), rungs_of(900, 3), Ground(), train, 3))
    assert len(train.done) == 2


@pytest.mark.parametrize(("failing", "rungs"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_it_ends_with_the_first_failure(failing, rungs):
    train = Trainings(failing)
    *before, end = climb(tiny_recipe(), rungs_of(900, 3), Ground(), train, 3)
    assert (len(before), end, len(train.done)) == (rungs, Failed("its loss exploded"), failing)
    *before, end = climb_anew(tiny_recipe(), rungs_of(900, 5), Trainings(failing), 3)
    assert (len(before), end) == (failing, Failed("its loss exploded"))


def test_without_ground_nothing_is_trained():
    train = Trainings()
    assert list(climb(tiny_recipe(), rungs_of(900, 3), Failed("no start"), train, 3)) == [Failed("no start")]
    assert train.done == []


def test_whole_trainings_under_their_own_schedule():
    train, recipe = Trainings(), tiny_recipe()
    (first, last) = climb_anew(recipe, rungs_of(900, 2), train, 3)
    assert train.done == [(recipe.schedule.name, 0, 300, None), (recipe.schedule.name, 0, 900, None)]
    assert (first.trunk, losses_of(last)) == ((), (1.0, 0.5))
