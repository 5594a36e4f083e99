import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.architecture.module import build_module
from modules.architecture.nodes import Conv
from modules.architecture.separable import separable_architecture


@given(st.sampled_from([1, 3]), st.integers(1, 100), st.integers(1, 100), st.integers(2, 200))
@settings(max_examples=50)
def test_it_suits_every_shape(channels, height, width, classes):
    shape = (channels, height, width)
    architecture = separable_architecture(shape, classes, 1000, (0.5,) * channels, (0.2,) * channels)
    assert architecture.shapes()["dense1"] == (classes,)


@pytest.mark.parametrize(
    ("shape", "side"), [((3, 224, 224), 7), ((3, 32, 32), 8), ((1, 28, 28), 7), ((1, 8, 8), 4), ((1, 5, 5), 5)]
)
def test_it_ends_in_small_planes(shape, side):
    architecture = separable_architecture(shape, 10, 50_000, (0.5,) * shape[0], (0.2,) * shape[0], width=0.1)
    assert architecture.input_shape("global1")[1:] == (side, side)
    assert build_module(architecture)(torch.zeros(2, *shape)).shape == (2, 10)


def test_its_parameters_are_those_worked_out_by_hand():
    architecture = separable_architecture((1, 28, 28), 10, 50_000, (0.5,), (0.25,), width=0.25)
    first = 9 * 16 + 2 * 16
    layers = [(16, 24), (24, 24), (24, 32), (32, 32), (32, 32)]
    separable = sum(9 * before + 2 * before + before * after + 2 * after for before, after in layers)
    assert architecture.params == first + separable + 32 * 10 + 10 == 5_978


def test_each_depthwise_layer_has_a_filter_a_channel():
    architecture = separable_architecture((1, 28, 28), 10, 50_000, (0.5,), (0.25,))
    grouped = [node for node in architecture.nodes if isinstance(node, Conv) and node.groups > 1]
    assert [node.groups for node in grouped] == [node.channels for node in grouped] == [64, 96, 96, 128, 128]
