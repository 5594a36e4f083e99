import pytest
import torch

from modules.architecture.description import IMAGE, Activation, Architecture, Conv, Dense, Flatten, Norm
from modules.architecture.module import build_module
from modules.evaluation.jobs import silent_channels

ARCHITECTURE = Architecture(
    image_shape=(1, 6, 6),
    num_classes=2,
    nodes=(
        Conv(name="conv1", inputs=(IMAGE,), channels=8, kernel=3, padding=1),
        Norm(name="norm1", inputs=("conv1",)),
        Activation(name="act1", inputs=("norm1",)),
        Flatten(name="flat1", inputs=("act1",)),
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
    torch.nn.init.uniform_(network.dense1.weight, 0.1, 1.0)  # no unit of the second activation is dead by chance
    torch.nn.init.ones_(network.norm1.bias)
    return network


@pytest.fixture
def images():
    return torch.rand(20, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def silence(network, *channels):
    """What a channel gives is the same for every image: its scale is zero."""
    with torch.no_grad():
        network.norm1.weight[list(channels)] = 0.0


def test_a_network_that_is_all_alive_has_none(network, images):
    assert silent_channels(network, images) == {"act1": 0.0, "act2": 0.0}


@pytest.mark.parametrize("dead", [(0,), (2, 5), (0, 1, 2, 3, 4, 5, 6)])
def test_channels_of_constant_value_are_found(network, images, dead):
    silence(network, *dead)
    assert silent_channels(network, images)["act1"] == len(dead) / 8


def test_a_channel_that_never_passes_its_activation_is_silent(network, images):
    with torch.no_grad():
        network.norm1.bias[3] = -1000.0
    assert silent_channels(network, images)["act1"] == 1 / 8


def test_units_of_a_dense_layer_count_too(network, images):
    with torch.no_grad():
        network.dense1.weight[1] = 0.0
        network.dense1.bias[1] = 5.0
    assert silent_channels(network, images)["act2"] == 1 / 4


def test_a_layer_that_is_dead_altogether_is_silent_altogether(network, images):
    silence(network, *range(8))
    assert silent_channels(network, images)["act1"] == 1.0


def test_a_channel_that_hardly_varies_is_silent_and_one_that_varies_a_little_is_not(network, images):
    with torch.no_grad():
        network.norm1.weight[0] = 1e-3
    assert silent_channels(network, images)["act1"] == 1 / 8
    with torch.no_grad():
        network.norm1.weight[0] = 0.2
    assert silent_channels(network, images)["act1"] == 0.0
