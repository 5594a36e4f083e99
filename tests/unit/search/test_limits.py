import pytest

from modules.search.limits import Cost, Limits

BEFORE = Cost(1000, 5000)


def test_without_limits_everything_goes():
    assert Limits().allows(BEFORE, Cost(10**9, 10**9))
    assert Limits().note(BEFORE) is None
    assert Limits().weight(BEFORE, Cost(2000, 9000)) == 1.0


@pytest.mark.parametrize(
    ("after", "allowed"),
    [
        (Cost(1100, 5000), True),
        (Cost(1101, 5000), False),  # it would have to be refused
        (Cost(1100, 99_999), True),  # nobody minds
        (Cost(900, 5000), True),
    ],
)
def test_nothing_that_would_exceed_a_limit(after, allowed):
    assert Limits(max_params=1100).allows(BEFORE, after) is allowed


@pytest.mark.parametrize(
    ("after", "allowed"),
    [
        (Cost(1000, 5000), False),
        (Cost(999, 5000), True),
        (Cost(1001, 4000), False),
        (Cost(999, 6001), False),  # nearer to one limit, above another
        (Cost(400, 6000), True),
    ],
)
def test_above_a_limit_only_what_leads_nearer(after, allowed):
    limits = Limits(max_params=500, max_flops=6000)
    assert limits.allows(BEFORE, after) is allowed
    assert limits.note(BEFORE) == (
        "the network has 1,000, above objective.max_params=500, so that only shrinking is proposed"
    )


def test_above_two_limits_both_have_to_fall():
    limits = Limits(max_params=500, max_flops=500)
    assert not limits.allows(BEFORE, Cost(900, 5000))
    assert limits.allows(BEFORE, Cost(900, 4999))


def test_near_a_limit_growing_has_less_weight():
    limits = Limits(max_flops=5500)
    assert limits.weight(BEFORE, Cost(1001, 5000)) < 1.0
    assert limits.weight(BEFORE, Cost(1000, 5001)) < 1.0
    assert limits.weight(BEFORE, BEFORE) == limits.weight(BEFORE, Cost(900, 4000)) == 1.0
    assert limits.note(BEFORE) == "the network is at 91% of objective.max_flops=5,500, so growing has less weight"
    assert Limits(max_flops=5600).note(BEFORE) is None
    assert Limits(max_flops=5600).weight(BEFORE, Cost(1001, 5000)) == 1.0
