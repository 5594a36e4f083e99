import math

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


def test_above_a_limit_an_edit_counts_by_how_near_it_leads():
    limits = Limits(max_params=500)
    half, quarter, more = (limits.weight(BEFORE, Cost(params, 5000)) for params in (500, 250, 720))
    assert half == pytest.approx(1.0)
    assert quarter == pytest.approx(0.5)  # further than has to be
    assert more == pytest.approx((math.log(1 / 0.72) / math.log(2)) ** 2)
    assert 0 < limits.weight(BEFORE, Cost(999, 5000)) == limits.weight(BEFORE, BEFORE) < 0.01


def test_above_a_limit_what_nobody_minds_should_stay():
    limits = Limits(max_params=500)
    assert limits.weight(BEFORE, Cost(500, 4000)) == pytest.approx(0.64)
    assert limits.weight(BEFORE, Cost(500, 6000)) == pytest.approx(1.0)
    assert Limits(max_params=500, max_flops=5000).weight(BEFORE, Cost(500, 4000)) == pytest.approx(1.0)
    latency = Limits(max_latency_ms=0.5)
    assert latency.weight(Cost(1000, 5000, 1.0), Cost(500, 2500, 0.5)) == pytest.approx(0.25)


def test_shares_that_are_within_the_limits():
    assert Limits(max_params=500).shares(BEFORE) == {"params": 0.5}
    assert Limits(max_params=1000, max_flops=1000).shares(BEFORE) == {"flops": 0.2}
    assert Limits(max_flops=4000, max_latency_ms=0.5).shares(Cost(1000, 5000, 1.0)) == {"flops": 0.5}
    assert Limits(max_flops=4000, max_latency_ms=0.5).shares(BEFORE) == {"flops": 0.8}
    assert Limits().shares(BEFORE) == {}


def test_of_several_limits_the_furthest_one_counts():
    limits = Limits(max_params=900, max_flops=2500)
    assert limits.excess(BEFORE) == pytest.approx(math.log(2))
    assert limits.progress(BEFORE, Cost(100, 5000)) == 0.0
    assert limits.progress(BEFORE, Cost(100, 2500)) == 1.0


def test_limits_demand_what_is_far_enough_on_the_way():
    limits, after = Limits(max_params=500), [Cost(990, 1), None, Cost(800, 1), Cost(500, 1)]
    assert limits.demanded(BEFORE, after, 1) == [3]
    assert limits.demanded(BEFORE, after, 4) == [2, 3]
    assert limits.demanded(BEFORE, after[:3], 1) == [2]  # the furthest, where none is far enough
    assert limits.demanded(BEFORE, [None, BEFORE], 1) == []
    assert limits.demanded(Cost(500, 1), after, 1) == []


def test_a_large_network_is_said_in_full():
    said = Limits(max_params=1_691_909).objection(Cost(3_383_818, 1))
    assert said == "the network would have 3,383,818, above objective.max_params=1,691,909"
    assert Limits(max_latency_ms=1.5).objection(Cost(1, 1, 2.34567891)).startswith("the network would have 2.34568,")
