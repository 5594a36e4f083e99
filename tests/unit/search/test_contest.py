from hypothesis import given
from hypothesis import strategies as st
from tiny_study import schedule, tiny_recipe

from modules.search.contest import change, survivors


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
