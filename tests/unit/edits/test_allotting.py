"""How a network's narrowing is shared out among its layers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import architectures

from modules.architecture.channels import resizable_groups, resized
from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import Conv, Dense, GlobalPool
from modules.edits.allotting import Allotment, allotted, least, most_saved

TWO_LAYERS = Architecture(
    image_shape=(1, 4, 4),
    num_classes=2,
    nodes=(
        Conv(name="conv1", inputs=(IMAGE,), channels=4, kernel=1, bias=False),
        Conv(name="conv2", inputs=("conv1",), channels=4, kernel=1, bias=False),
        GlobalPool(name="pool1", inputs=("conv2",), kind="max"),
        Dense(name="dense1", inputs=("pool1",), units=2, bias=False),
    ),
)  # 4 + 16 + 8 weights


@settings(max_examples=30)
@given(architectures(), st.data())
def test_what_is_left_costs_what_the_narrower_network_does(architecture, data):
    groups = resizable_groups(architecture)
    after, sizes = architecture, []
    for group in groups:
        blocks = data.draw(st.integers(1, group.size // group.block))
        sizes.append(blocks * group.block)
        after = resized(after, group, sizes[-1])
    for saving, cost in (("params", after.params), ("flops", after.product_flops)):
        allotment = Allotment(architecture, groups, saving)
        allotment.sizes[:-1] = sizes
        assert allotment.total == pytest.approx(cost)


@settings(max_examples=30)
@given(architectures(), st.sampled_from(["params", "flops"]), st.floats(0.05, 0.95), st.integers(0, 5))
def test_no_more_goes_than_has_to_and_no_group_below_its_least(architecture, saving, share, seed):
    groups = resizable_groups(architecture)
    random = np.random.default_rng(seed)
    importances = [random.exponential(size=group.size) for group in groups]
    if 1 - share > most_saved(architecture, groups, saving):
        with pytest.raises(ValueError, match="cannot be all that is left"):
            allotted(architecture, groups, importances, share, saving)
        return
    sizes = allotted(architecture, groups, importances, share, saving)
    for group, size in zip(groups, sizes, strict=True):
        assert least(group) <= size <= group.size
        assert size % group.block == 0
    goal = share * total(architecture, groups, saving, [group.size for group in groups]) + 1e-6
    assert total(architecture, groups, saving, sizes) <= goal
    one_step_back = [
        total(architecture, groups, saving, [*sizes[:place], size + step, *sizes[place + 1 :]])
        for place, (group, size) in enumerate(zip(groups, sizes, strict=True))
        for step in range(group.block, 5, group.block)
        if size + step <= group.size
    ]
    assert max(one_step_back) > goal  # the last step was needed


def total(architecture, groups, saving, sizes):
    allotment = Allotment(architecture, groups, saving)
    allotment.sizes[:-1] = sizes
    return allotment.total


def test_what_is_worth_least_for_its_cost_goes_first():
    groups = resizable_groups(TWO_LAYERS)
    # A channel of conv1 costs 1 + 4 weights, one of conv2 4 + 2: what is worth 1.1 of 6 is less than 1 of 5.
    importances = [np.array([5.0, 1.0, 9.0, 9.0]), np.array([9.0, 9.0, 1.1, 9.0])]
    assert allotted(TWO_LAYERS, groups, importances, 0.8, "params") == (4, 3)  # 28 to 22
    # With three channels in conv2 one of conv1 costs 1 + 3: worth 1 of 4 it is less than the next of conv2, 9 of 6.
    assert allotted(TWO_LAYERS, groups, importances, 0.65, "params") == (3, 3)  # to 18


@pytest.mark.parametrize(("size", "fewest"), [(4, 1), (7, 1), (9, 2), (40, 8), (64, 8), (72, 12), (1152, 144)])
def test_a_group_keeps_an_eighth_in_numbers_that_processors_are_quick_at(size, fewest):
    (group,) = resizable_groups(
        Architecture(
            image_shape=(1, 4, 4),
            num_classes=2,
            nodes=(
                Conv(name="conv1", inputs=(IMAGE,), channels=size, kernel=1),
                GlobalPool(name="pool1", inputs=("conv1",), kind="max"),
                Dense(name="dense1", inputs=("pool1",), units=2),
            ),
        )
    )
    assert least(group) == fewest


def test_a_group_keeps_a_part_even_if_nothing_depends_on_it():
    groups = resizable_groups(TWO_LAYERS)
    importances = [np.zeros(4), np.ones(4)]
    assert allotted(TWO_LAYERS, groups, importances, 0.4, "params")[0] == 1
    assert most_saved(TWO_LAYERS, groups, "params") == pytest.approx(1 - 4 / 28)
