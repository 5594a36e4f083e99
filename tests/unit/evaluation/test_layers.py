"""The measures of layers on networks made by hand, where the answer is known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from random_networks import architectures, random_images, random_network

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.module import build_module
from modules.architecture.nodes import Activation, Add, Conv, Dense, Flatten, GlobalPool, Norm
from modules.evaluation.layers import (
    agreement,
    channel_values,
    duplicated_channels,
    effective_rank,
    fitting_images,
    linear_cka,
    measure_layers,
    silent_channels,
)

ARCHITECTURE = Architecture(
    image_shape=(1, 6, 6),
    num_classes=2,
    nodes=(
        Conv(name="conv1", inputs=(IMAGE,), channels=8, kernel=3, padding=1),
        Norm(name="norm1", inputs=("conv1",)),
        Activation(name="act1", inputs=("norm1",)),
        Conv(name="conv2", inputs=("act1",), channels=8, kernel=3, padding=1, bias=False),
        Norm(name="norm2", inputs=("conv2",)),
        Add(name="add1", inputs=("act1", "norm2")),
        Flatten(name="flat1", inputs=("add1",)),
        Dense(name="dense1", inputs=("flat1",), units=4),
        Activation(name="act2", inputs=("dense1",)),
        Dense(name="dense2", inputs=("act2",), units=2),
    ),
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = build_module(ARCHITECTURE)
    torch.nn.init.normal_(network.conv1.weight)
    torch.nn.init.zeros_(network.conv1.bias)
    torch.nn.init.normal_(network.conv2.weight)
    torch.nn.init.normal_(network.dense1.weight)
    torch.nn.init.constant_(network.dense1.bias, 50.0)  # no unit of the second activation is dead by chance
    torch.nn.init.ones_(network.norm1.bias)
    return network.eval()


@pytest.fixture
def images():
    return torch.rand(20, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def measured(network, images):
    return {layer.node: layer for layer in measure_layers(network, images)}


def silence(network, *channels):
    """What a channel gives is the same for every image: its scale is zero."""
    with torch.no_grad():
        network.norm1.weight[list(channels)] = 0.0


def double(network, channel, by, factor=1.0):
    """Make a channel of the first layer a multiple of another, before what rectifies them alike."""
    with torch.no_grad():
        network.conv1.weight[by] = network.conv1.weight[channel]
        network.norm1.weight[by] = factor * network.norm1.weight[channel]
        network.norm1.bias[by] = factor * network.norm1.bias[channel]


def test_each_layer_is_looked_at_behind_its_activation(network, images):
    layers = measure_layers(network, images)
    assert [(layer.node, layer.output, layer.channels) for layer in layers] == [
        ("conv1", "act1", 8),
        ("conv2", "norm2", 8),
        ("add1", "add1", 8),
        ("dense1", "act2", 4),
    ]


def test_a_network_that_is_all_alive_has_nothing_redundant(network, images):
    assert {layer.redundant for layer in measured(network, images).values()} == {0.0}


@pytest.mark.parametrize("dead", [(0,), (2, 5), (0, 1, 2, 3, 4, 5, 6)])
def test_channels_of_constant_value_are_silent(network, images, dead):
    silence(network, *dead)
    assert measured(network, images)["conv1"].silent == len(dead) / 8
    assert measured(network, images)["conv1"].duplicated == 0.0  # nothing counts twice


def test_a_channel_that_never_passes_its_activation_is_silent(network, images):
    with torch.no_grad():
        network.norm1.bias[3] = -1000.0
    assert measured(network, images)["conv1"].silent == 1 / 8


def test_units_of_a_dense_layer_count_too(network, images):
    with torch.no_grad():
        network.dense1.weight[1] = 0.0
    assert measured(network, images)["dense1"].silent == 1 / 4


def test_a_layer_that_is_dead_altogether_is_silent_altogether(network, images):
    silence(network, *range(8))
    dead = measured(network, images)["conv1"]
    assert (dead.silent, dead.effective_rank, dead.similarity) == (1.0, 0.0, 0.0)


def test_a_channel_that_hardly_varies_is_silent_and_one_that_varies_a_little_is_not(network, images):
    with torch.no_grad():
        network.norm1.weight[0] = 1e-3
    assert measured(network, images)["conv1"].silent == 1 / 8
    with torch.no_grad():
        network.norm1.weight[0] = 0.2
    assert measured(network, images)["conv1"].silent == 0.0


@pytest.mark.parametrize("factor", [1.0, 0.3])
def test_of_two_channels_alike_one_is_a_duplicate(network, images, factor):
    double(network, 2, 5, factor)
    first = measured(network, images)["conv1"]
    assert (first.silent, first.duplicated, first.redundant) == (0.0, 1 / 8, 1 / 8)


def test_of_three_alike_two_are_duplicates_and_of_two_pairs_one_each():
    seen = torch.randn(500, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alive = torch.zeros(4, dtype=torch.bool)
    three, pairs, opposite = seen[:, [0, 0, 1, 0]], seen[:, [0, 1, 1, 0]], seen[:, [0, 1, 2, 0]] * torch.tensor([-2.0])
    assert duplicated_channels(three, alive).tolist() == [False, True, False, True]
    assert duplicated_channels(pairs, alive).tolist() == [False, False, True, True]
    assert duplicated_channels(opposite, alive).tolist() == [False, False, False, True]  # only the sign differs
    assert duplicated_channels(seen, alive).tolist() == [False] * 4
    assert duplicated_channels(three, torch.tensor([True, False, False, False])).tolist() == [False, False, False, True]


@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_a_duplicate_may_differ_by_a_little_noise(noise):
    seen = torch.randn(2000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    seen[:, 1] = seen[:, 0] + noise * seen[:, 1]
    assert duplicated_channels(seen, torch.zeros(2, dtype=torch.bool)).tolist() == [False, noise == 0.1]


def test_a_layer_whose_filters_are_all_the_same_has_rank_one(network, images):
    with torch.no_grad():
        network.conv1.weight[:] = network.conv1.weight[0]
    first = measured(network, images)["conv1"]
    assert first.effective_rank == pytest.approx(1.0, abs=1e-3)
    assert first.duplicated == 7 / 8
    assert (first.full_rank, first.fullness) == (8, pytest.approx(1 / 8, abs=1e-3))


def test_effective_ranks_by_hand():
    seen = torch.randn(50, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    equal = torch.linalg.qr(seen).Q
    assert effective_rank(equal) == pytest.approx(6.0)
    assert effective_rank(equal[:, :2] * torch.tensor([3.0**0.5, 1.0])) == pytest.approx(
        math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    )
    assert effective_rank(torch.zeros(5, 3)) == 0.0


def test_a_rank_cannot_be_larger_than_what_was_seen(network):
    few = torch.rand(3, 1, 6, 6)
    dense = measured(network, few)["dense1"]
    assert (dense.channels, dense.full_rank) == (4, 2)
    assert dense.fullness <= 1.0


def test_a_branch_that_adds_nothing_leaves_its_input(network, images):
    assert measured(network, images)["add1"].agreement < 0.9
    torch.nn.init.zeros_(network.norm2.weight)
    unchanged = measured(network, images)["add1"]
    assert unchanged.agreement == pytest.approx(1.0)
    assert unchanged.similarity == pytest.approx(1.0)


def test_a_convolution_that_hands_on_its_input_leaves_it(images):
    nodes = (
        Conv(name="conv1", inputs=(IMAGE,), channels=3, kernel=3, padding=1),
        Conv(name="conv2", inputs=("conv1",), channels=3, kernel=3, padding=1, bias=False),
        GlobalPool(name="pool1", inputs=("conv2",)),
        Dense(name="dense1", inputs=("pool1",), units=2),
    )
    network = build_module(Architecture(image_shape=(1, 6, 6), num_classes=2, nodes=nodes))
    torch.nn.init.dirac_(network.conv2.weight)
    second = measured(network, images)["conv2"]
    assert second.agreement == pytest.approx(1.0)
    with torch.no_grad():
        network.conv2.weight[:] = network.conv2.weight[[1, 2, 0]]
    permuted = measured(network, images)["conv2"]
    assert permuted.similarity == pytest.approx(1.0)  # it says the same of every image …
    assert permuted.agreement < 0.9  # … but cannot be left out
    assert measured(network, images)["conv1"].agreement is None  # other shapes cannot agree


def reference_cka(before, after):
    """By the features instead of by the images (Kornblith et al. 2019, equation 3.2)."""
    first, second = before - before.mean(0), after - after.mean(0)
    across = np.linalg.norm(second.T @ first) ** 2
    return across / (np.linalg.norm(first.T @ first) * np.linalg.norm(second.T @ second))


def test_similarity_is_linear_cka():
    numbers = np.random.default_rng(0)
    before, after = numbers.normal(size=(30, 5)), numbers.normal(size=(30, 9))
    after[:, :3] += before[:, :3]
    assert linear_cka(torch.from_numpy(before), torch.from_numpy(after)) == pytest.approx(reference_cka(before, after))
    turn = np.linalg.qr(numbers.normal(size=(5, 5)))[0]
    assert linear_cka(torch.from_numpy(before), torch.from_numpy(3 * before @ turn + 1)) == pytest.approx(1.0)
    assert agreement(torch.from_numpy(before), torch.from_numpy(3 * before + 1)) == pytest.approx(1.0)
    assert agreement(torch.from_numpy(before), torch.from_numpy(-before)) == pytest.approx(-1.0)


def test_large_planes_are_looked_at_on_a_grid():
    values = torch.rand(2, 3, 100, 60)
    assert channel_values(values).shape[1] == 3
    assert 2 * 9 <= len(channel_values(values)) <= 2 * 25
    assert len(channel_values(values[:, :, :4, :4])) == 2 * 16
    torch.testing.assert_close(channel_values(values).mean(dim=0), torch.zeros(3, dtype=torch.float64))


def test_large_images_are_fewer():
    def classifier(side):
        nodes = (
            Conv(name="conv1", inputs=(IMAGE,), channels=64, kernel=3, padding=1),
            GlobalPool(name="pool1", inputs=("conv1",)),
            Dense(name="dense1", inputs=("pool1",), units=2),
        )
        return Architecture(image_shape=(3, side, side), num_classes=2, nodes=nodes)

    assert fitting_images(classifier(28)) == 500
    assert 32 < fitting_images(classifier(96)) < 500
    assert fitting_images(classifier(500)) == 32


@given(architectures())
@settings(max_examples=50)
def test_measures_of_any_network_are_what_they_can_be(architecture):
    network = random_network(architecture)
    images = random_images(architecture, 12)
    layers = measure_layers(network, images)
    assert layers == measure_layers(network, images)
    for layer in layers:
        assert layer.channels == architecture.shapes()[layer.output][0]
        assert 0 <= layer.silent <= layer.silent + layer.duplicated <= 1
        assert 0 <= layer.effective_rank <= layer.full_rank * (1 + 1e-9)
        assert -1e-9 <= layer.similarity <= 1 + 1e-9
        assert layer.agreement is None or abs(layer.agreement) <= 1 + 1e-9


def test_silence_is_relative_to_the_layer():
    values = torch.tensor([[0.0, 0.0], [1.0, 1e-3], [2.0, 0.0]])
    assert silent_channels(values).tolist() == [False, True]
    assert silent_channels(1e-6 * values).tolist() == [False, True]
    assert silent_channels(torch.ones(4, 3)).tolist() == [True] * 3
