import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.architecture.module import build_module
from modules.architecture.vgg import vgg_architecture


@given(st.sampled_from([1, 3]), st.integers(1, 100), st.integers(1, 100), st.integers(2, 200))
@settings(max_examples=50)
def test_it_suits_every_shape(channels, height, width, classes):
    shape = (channels, height, width)
    architecture = vgg_architecture(shape, classes, 1000, (0.5,) * channels, (0.2,) * channels)
    assert architecture.shapes()["dense1"] == (classes,)


@pytest.mark.parametrize(("shape", "side"), [((3, 32, 32), 3), ((1, 28, 28), 3), ((1, 8, 8), 3)])
def test_it_ends_in_small_planes(shape, side):
    architecture = vgg_architecture(shape, 10, 50_000, (0.5,) * shape[0], (0.2,) * shape[0])
    assert architecture.input_shape("global1")[1:] == (side, side)
    assert build_module(architecture)(torch.zeros(2, *shape)).shape == (2, 10)


def test_its_cost_is_that_of_the_network_it_follows():
    architecture = vgg_architecture((3, 32, 32), 10, 50_000, (0.5,) * 3, (0.25,) * 3)
    assert 1.9e6 < architecture.params < 2.1e6
