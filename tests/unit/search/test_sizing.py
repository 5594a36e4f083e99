from functools import partial

import pytest

from modules.architecture.start import first_architecture
from modules.errors import ConfigError
from modules.search.limits import Limits
from modules.search.pace import Calibration
from modules.search.sizing import affordable_flops, fitting_width


def build(width: float):
    return first_architecture((1, 28, 28), 10, 50_000, (0.1,), (0.3,), width)


def nobody_asked(architecture) -> float:
    pytest.fail("a latency was measured that is not limited")


def test_without_a_clock_and_limits_it_is_the_usual_width():
    assert fitting_width(build, Limits(), None, nobody_asked) == 1.0


@pytest.mark.parametrize("limit", [1_000, 6_174, 20_000, 60_000])
def test_the_widest_below_a_limit_is_taken(limit):
    width = fitting_width(build, Limits(max_params=limit), None, nobody_asked)
    assert build(width).params <= limit
    assert build(width).params > limit / 2
    assert fitting_width(build, Limits(max_flops=build(width).flops), None, nobody_asked) == width


def test_time_asks_for_more_width_up_to_where_a_search_may_start():
    assert fitting_width(build, Limits(), 1e12, nobody_asked) == 2.5  # 377,530 parameters
    assert fitting_width(build, Limits(), build(1.5).flops, nobody_asked) == 1.5
    assert fitting_width(build, Limits(), 1.0, nobody_asked) == 1.0  # too little time is no reason for less


def test_limits_go_before_time():
    assert build(fitting_width(build, Limits(max_params=100_000), 1e12, nobody_asked)).params <= 100_000


def test_latency_is_measured_only_where_it_is_limited():
    latency = {1.0: 4.0, 0.85: 3.0, 0.7: 2.0}
    by_params = {build(width).params: value for width, value in latency.items()}
    found = fitting_width(build, Limits(max_latency_ms=2.5), None, lambda one: by_params[one.params])
    assert found == 0.7
    assert fitting_width(build, Limits(), None, nobody_asked) == 1.0


@pytest.mark.parametrize("limits", [Limits(max_params=100), Limits(max_flops=10)])
def test_limits_that_nothing_meets_are_refused_with_the_smallest_that_could(limits):
    with pytest.raises(ConfigError, match=f"the smallest network here has {build(0.1).params:,} parameters"):
        fitting_width(build, limits, None, nobody_asked)


def test_a_latency_that_nothing_meets_is_refused():
    with pytest.raises(ConfigError, match=r"takes 7 ms"):
        fitting_width(build, Limits(max_latency_ms=1.0), None, lambda one: 7.0)


def test_operations_that_time_pays_for_by_hand():
    first = build(1.0)
    calibration = Calibration(samples_per_second=3_000, evaluation_seconds=1.0)
    # 3,000 samples a second for 300 s are 900,000 samples: 30 epochs of 30,000 images of this very network
    assert affordable_flops(first, calibration, 30_000, 300, searched=False) == pytest.approx(first.flops)
    assert affordable_flops(first, calibration, 30_000, 300, searched=True) == pytest.approx(first.flops / 2)


def test_widths_of_channels_are_what_processors_are_quick_at():
    convs = [node.channels for node in build(1.25).nodes if node.op == "conv"]
    assert all(channels % 8 == 0 for channels in convs if channels >= 16)
    assert partial(build, 0.1)().params < 1_000
