from hypothesis import given
from hypothesis import strategies as st

from modules.search.rungs import cost, rungs_of


def test_by_hand():
    first, second, last = rungs_of(9000, 3)
    assert first == (1000, 750, 250)
    assert second == (3000, 1500, 750)
    assert last == (9000, 4500, 2250)
    assert cost((first, second, last)) == 10_000


@given(st.integers(100, 10**8), st.integers(1, 5))
def test_each_rung_is_a_trunk_and_a_branch(samples, count):
    rungs = rungs_of(samples, count)
    assert rungs[-1].samples == samples
    trunk = 0
    for rung in rungs:
        trunk += rung.trunk
        assert trunk + rung.cooled == rung.samples
        assert abs(rung.cooled / rung.samples - 0.25) < 0.5 / rung.samples + 1e-9 or rung.samples < 4
