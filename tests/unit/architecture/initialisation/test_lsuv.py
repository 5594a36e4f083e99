import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_networks import architectures, as_tensors, random_images

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.initialisation.lsuv import Lsuv
from modules.architecture.initialisation.orthogonal import Orthogonal
from modules.architecture.module import build_module, initial_tensors
from modules.architecture.nodes import Conv, Dense, Dropout, GlobalPool, Norm

PLAIN = Architecture(
    image_shape=(1, 6, 6),
    num_classes=3,
    nodes=(
        Conv(name="conv1", inputs=(IMAGE,), channels=4, kernel=3),
        Norm(name="norm1", inputs=("conv1",)),
        GlobalPool(name="pool1", inputs=("norm1",), kind="max"),
        Dropout(name="drop1", inputs=("pool1",), rate=0.5),
        Dense(name="dense1", inputs=("drop1",), units=3),
    ),
)


def initial_network(architecture, seed=0):
    network = build_module(architecture)
    network.load_state_dict(as_tensors(initial_tensors(architecture, Lsuv(), seed)))
    return network


def outputs_while_training(network, images):
    """What every node gives where normalisations use the images' own statistics and nothing is dropped."""
    for module in network.modules():
        module.training = hasattr(module, "running_mean")
    with torch.no_grad():
        return network.outputs(images)


@given(architectures(), st.integers(0, 100))
def test_every_layer_has_unit_variance(architecture, seed):
    network, images = initial_network(architecture, seed), random_images(architecture, 64, seed)
    Lsuv(tolerance=0.03).fit(network, images)
    for name, values in list(outputs_while_training(network, images).items())[1:]:
        if isinstance(architecture.node(name), Conv | Dense):
            variance, mean = torch.var_mean(values.double(), correction=0)
            silent = variance <= 1e-6 * mean.square()  # nothing differs that could be enlarged
            assert silent or abs(variance - 1) < 0.03, name


@given(architectures())
def test_nothing_but_the_scale_of_weights_changes(architecture):
    network, images = initial_network(architecture), random_images(architecture, 16)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    Lsuv().fit(network, images)
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())
    for name, tensor in network.state_dict().items():
        if tensor.ndim < 2:
            assert torch.equal(tensor, before[name]), name
        else:
            factor = tensor.norm() / before[name].norm()
            torch.testing.assert_close(tensor, factor * before[name])


def test_the_same_images_give_the_same_weights():
    images = random_images(PLAIN, 32)
    networks = [initial_network(PLAIN), initial_network(PLAIN)]
    for network in networks:
        Lsuv().fit(network, images)
    first, second = (network.state_dict() for network in networks)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_layer_that_nothing_moves_is_left_alone():
    network = initial_network(PLAIN)
    before = network.state_dict()["conv1.weight"].clone()
    Lsuv().fit(network, torch.zeros(8, 1, 6, 6))
    assert torch.equal(network.state_dict()["conv1.weight"], before)


def test_biases_that_are_there_are_reckoned_with():
    network, images = initial_network(PLAIN), random_images(PLAIN, 64)
    with torch.no_grad():
        network.get_parameter("dense1.bias").copy_(torch.tensor([0.5, -0.5, 0.0]))
    Lsuv(tolerance=0.03, max_tries=50).fit(network, images)
    variance = outputs_while_training(network, images)["dense1"].var(correction=0)
    assert variance == pytest.approx(1.0, abs=0.03)


def test_weights_start_orthogonal():
    drawn = Lsuv().draw((4, 9), 3, "dense1.weight")
    assert (drawn == Orthogonal(1.0).draw((4, 9), 3, "dense1.weight")).all()
