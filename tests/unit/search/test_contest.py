from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from tiny_study import schedule, tiny_recipe

from modules.search.climbing import Climbed
from modules.search.contest import change, settled, survivors


def test_a_third_goes_on_but_one_at_least():
    assert survivors([3.0, 1.0, 2.0, 5.0, 4.0, 6.0, 7.0]) == [0, 1, 2]
    assert survivors([3.0, None, 2.0]) == [2]
    assert survivors([1.0]) == [0]
    assert survivors([1.0, 1.0, 1.0, 1.0]) == [0, 1]


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30))
def test_none_that_goes_on_is_worse_than_one_that_does_not(losses):
    kept = survivors(losses)
    assert len(kept) == max(1, -(-len(losses) // 3))
    others = [loss for index, loss in enumerate(losses) if index not in kept]
    assert not others or max(losses[index] for index in kept) <= min(others)


def test_the_edit_names_what_differs():
    before = tiny_recipe()
    after = before.updated(learning_rate=0.5, schedule=schedule("Linear"))
    proposal = change(before, after, "tune", "for a test")
    assert set(proposal.edit.arguments["changes"]) == {"learning_rate", "schedule"}


def test_the_trials_of_the_winners_trunk_stand_once_in_its_row():
    legs = tuple((None, SimpleNamespace(key=key)) for key in ("leg-1", "leg-2"))
    winner = Climbed(legs, ((None, SimpleNamespace(key="branch-2")),))
    row = SimpleNamespace(trials=("leg-1", "branch-1", "branch-2"), updated=lambda **new: new)
    other = SimpleNamespace(trials=("elsewhere",))
    record = SimpleNamespace(rows=(other, row), updated=lambda **new: new)
    changed = settled(record, "optimisers", winner)
    assert changed["winner_trial"] == "leg-2"
    assert changed["rows"] == (other, {"trials": ("leg-2", "leg-1", "branch-1", "branch-2")})
