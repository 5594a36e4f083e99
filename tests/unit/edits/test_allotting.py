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
    sizes = allotted(architecture, groups, importances, share, saving)
    for group, size in zip(groups, sizes, strict=True):
        assert min(least(group), group.size) <= size <= group.size
        assert size % group.block == 0
    allotment = Allotment(architecture, groups, saving)
    whole = allotment.total
    allotment.sizes[:-1] = sizes
    if share >= 1 - most_saved(architecture, groups, saving):
        assert allotment.total <= share * whole + 1e-6


def test_what_is_worth_least_for_its_cost_goes_first():
    groups = resizable_groups(TWO_LAYERS)
    # A channel of conv1 costs 1 + 4 weights, one of conv2 4 + 2.
    importances = [np.array([5.0, 1.0, 9.0, 9.0]), np.array([9.0, 9.0, 3.0, 9.0])]
    assert allotted(TWO_LAYERS, groups, importances, 0.83, "params") == (3, 4)  # 28 to 23: worth 1 of 5
    # Then one of conv1 is worth 5 of 5, and one of conv2 3 of 3 + 2.
    assert allotted(TWO_LAYERS, groups, importances, 0.65, "params") == (3, 3)  # to 18


def test_a_group_keeps_a_part_even_if_nothing_depends_on_it():
    groups = resizable_groups(TWO_LAYERS)
    importances = [np.zeros(4), np.ones(4)]
    assert allotted(TWO_LAYERS, groups, importances, 0.4, "params")[0] == 1
    assert most_saved(TWO_LAYERS, groups, "params") == pytest.approx(1 - 4 / 28)
