import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_networks import architectures, random_images, random_network

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.module import build_module
from modules.architecture.nodes import Conv, Dense, GlobalPool, Norm
from modules.training.features import Tail
from modules.training.statistics import refresh_statistics

DEEP = Architecture(
    image_shape=(2, 8, 8),
    num_classes=3,
    nodes=(
        Conv(name="conv1", inputs=(IMAGE,), channels=5, kernel=3),
        Norm(name="norm1", inputs=("conv1",)),
        Conv(name="conv2", inputs=("norm1",), channels=4, kernel=3),
        Norm(name="norm2", inputs=("conv2",)),
        GlobalPool(name="pool1", inputs=("norm2",), kind="max"),
        Norm(name="norm3", inputs=("pool1",)),
        Dense(name="dense1", inputs=("norm3",), units=3),
    ),
)


def statistics(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items() if "running" in name}


def measured_slowly(network, images):
    """As torch's own normalisation in training mode keeps them of one batch, if it keeps nothing else."""
    for module in network.modules():
        module.training = hasattr(module, "running_mean")
        module.momentum = 1.0
    with torch.no_grad():
        network(images)
    return statistics(network)


@given(architectures())
def test_of_one_batch_they_are_what_torch_keeps(architecture):
    images = random_images(architecture, 12)
    network = random_network(architecture)
    refresh_statistics(network, [images])
    for name, slow in measured_slowly(random_network(architecture), images).items():
        # a plane of nearly no variance, normalised twice, makes much of the last digits
        torch.testing.assert_close(statistics(network)[name], slow, rtol=5e-3, atol=1e-3)


def test_of_the_first_normalisation_they_are_exact_however_the_images_are_cut():
    """What comes to it depends on no statistics; batches of different brightness differ in their means."""
    images = random_images(DEEP, 60) * torch.linspace(0.1, 3.0, 60).view(-1, 1, 1, 1)
    network = random_network(DEEP)
    with torch.no_grad():
        values = network.outputs(images)["conv1"].double().numpy()
    for sizes in ([60], [20, 20, 20], [1, 2, 50, 7], [1] * 60):
        refresh_statistics(network, torch.split(images, sizes))
        np.testing.assert_allclose(statistics(network)["norm1.running_mean"], values.mean((0, 2, 3)), rtol=1e-5)
        np.testing.assert_allclose(statistics(network)["norm1.running_var"], values.var((0, 2, 3), ddof=1), rtol=1e-5)


def test_of_the_others_they_are_nearly_those_of_one_batch():
    images = random_images(DEEP, 1200)
    network = random_network(DEEP)
    refresh_statistics(network, [images])
    whole = statistics(network)
    refresh_statistics(network, torch.split(images, 300))
    for name, value in statistics(network).items():
        deviation = whole[name.replace("mean", "var")].sqrt()
        assert ((value - whole[name]).abs() < 0.05 * deviation).all(), name
        if "var" in name:
            np.testing.assert_allclose(value, whole[name], rtol=0.1)


@given(architectures(), st.booleans())
def test_nothing_else_changes(architecture, training):
    network = random_network(architecture).train(training)
    for module in list(network.modules())[1::2]:
        module.training = not training
    modes = [module.training for module in network.modules()]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    refresh_statistics(network, [random_images(architecture)])
    after = network.state_dict()
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(before[name], after[name]) for name in before if "running" not in name)
    assert not any(module._forward_pre_hooks for module in network.modules())
    refresh_statistics(network, [])
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in after.items())


def test_they_are_right_for_judging():
    """Judged on the very images, what each normalisation gives has mean 0 and variance 1, whatever was there before."""
    network = build_module(DEEP)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.copy_(torch.rand(tensor.shape, generator=torch.Generator().manual_seed(0)) + 0.5)
        for name in ("norm1", "norm2", "norm3"):
            getattr(network, name).weight.fill_(1.0)
            getattr(network, name).bias.fill_(0.0)
    images = random_images(DEEP, 100)
    refresh_statistics(network, [images])
    with torch.no_grad():
        outputs = network.eval().outputs(images)
    for name in ("norm1", "norm2", "norm3"):
        dims = [0, 2, 3][: outputs[name].ndim - 1]
        assert outputs[name].mean(dims).abs().max() < 1e-3
        assert outputs[name].var(dims).numpy() == pytest.approx(1.0, rel=1e-2)


def test_images_that_cannot_be_run_leave_no_hook():
    network = random_network(DEEP).train()
    with pytest.raises(RuntimeError):
        refresh_statistics(network, [torch.zeros(2, 7, 8, 8)])
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert all(module.training for module in network.modules())


@pytest.mark.parametrize("within", [lambda network: network, lambda network: Tail(network, "norm2")])
def test_a_network_that_keeps_its_statistics_keeps_them(within):
    network = random_network(DEEP)
    network.keep_statistics()
    before = statistics(network)
    images = random_images(DEEP, 12)
    part = within(network)
    refresh_statistics(part, [images if part is network else network.until("norm2", images).detach()])
    for name, value in statistics(network).items():
        assert torch.equal(value, before[name]), name
