import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.architecture.module import build_module
from modules.architecture.residual import residual_architecture


@given(st.sampled_from([1, 3]), st.integers(1, 200), st.integers(1, 200), st.integers(2, 200))
@settings(max_examples=50)
def test_it_suits_every_shape(channels, height, width, classes):
    shape = (channels, height, width)
    architecture = residual_architecture(shape, classes, 1000, (0.5,) * channels, (0.2,) * channels)
    assert architecture.image_shape == shape
    assert architecture.shapes()["dense1"] == (classes,)


@pytest.mark.parametrize(("shape", "side"), [((1, 28, 28), 7), ((3, 32, 32), 8), ((1, 8, 8), 8)])
def test_it_ends_in_small_planes_and_has_a_block_a_stage(shape, side):
    architecture = residual_architecture(shape, 10, 50_000, (0.5,) * shape[0], (0.2,) * shape[0])
    assert architecture.input_shape("global1")[1] == side
    pools = sum(node.op == "max_pool" for node in architecture.nodes)
    assert sum(node.op == "add" for node in architecture.nodes) == pools + 1
    assert build_module(architecture)(torch.zeros(2, *shape)).shape == (2, 10)


def test_it_is_small_enough_to_start_from():
    assert residual_architecture((1, 28, 28), 10, 50_000, (0.1,), (0.3,)).params < 400_000
