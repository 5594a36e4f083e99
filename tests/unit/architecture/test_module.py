import copy
import weakref

import pytest
import torch
from hypothesis import given
from random_networks import architectures, random_images, random_network
from torch import nn

from modules.architecture.classic import classic_architecture
from modules.architecture.description import IMAGE, Architecture
from modules.architecture.module import build_module
from modules.architecture.nodes import Dense, Flatten, GroupNorm, Norm
from modules.architecture.start import first_architecture


@given(architectures())
def test_every_weight_gets_a_gradient(architecture):
    network = random_network(architecture).train()
    network(random_images(architecture)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@given(architectures())
def test_memory_layout_and_batch_change_nothing(architecture):
    network, images = random_network(architecture), random_images(architecture)
    expected = network(images)
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    scale = float(expected.detach().abs().max())
    torch.testing.assert_close(last(images), expected, rtol=0, atol=5e-5 * scale)
    torch.testing.assert_close(network(images[2:3]), expected[2:3], rtol=0, atol=1e-5 * scale)


@given(architectures())
def test_no_more_is_held_than_what_is_yet_to_be_read(architecture):
    network, images = random_network(architecture), random_images(architecture, 1)
    outputs, held = [], []

    def look(module, inputs, output):
        outputs.append(weakref.ref(output))
        alive = [value for value in (seen() for seen in outputs) if value is not None]
        held.append(sum({value.untyped_storage().data_ptr(): value.numel() for value in alive}.values()))

    for node in architecture.nodes:
        network.get_submodule(node.name).register_forward_hook(look)
    with torch.no_grad():
        network(images)
        network.until(architecture.nodes[-1].name, images)
    assert max(held) <= architecture.live_values() + images.numel()  # these are held here


def test_outputs_are_those_of_every_node():
    architecture = first_architecture((1, 8, 8), 10, 50_000, (0.2,), (0.3,))
    network, images = random_network(architecture), random_images(architecture, 2)
    with torch.no_grad():
        outputs = network.outputs(images)
        assert outputs.keys() == architecture.shapes().keys()
        assert torch.equal(network.until(IMAGE, images), images)
        for name, values in outputs.items():
            assert torch.equal(network.until(name, images), values)


def test_classic_is_the_sequence_that_it_says():
    architecture = classic_architecture((1, 28, 28), 10, 1000, (0.1,), (0.3,))
    network = random_network(architecture)
    state = network.state_dict()
    reference = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1600, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    reference.load_state_dict(dict(zip(reference.state_dict(), state.values(), strict=True)))
    images = random_images(architecture)
    torch.testing.assert_close(network(images), reference((images - 0.1) / 0.3))
    assert architecture.params == 121_930


@pytest.mark.parametrize("flat", [True, False])
def test_normalisation_is_torchs(flat):
    nodes = [Norm(name="norm1", inputs=(IMAGE,)), Flatten(name="flatten1", inputs=("norm1",))]
    if flat:
        nodes = [Flatten(name="flatten1", inputs=(IMAGE,)), Norm(name="norm1", inputs=("flatten1",))]
    last = Dense(name="dense1", inputs=(nodes[-1].name,), units=2)
    network = random_network(Architecture(image_shape=(2, 3, 3), num_classes=2, nodes=(*nodes, last)))
    reference = nn.BatchNorm1d(18) if flat else nn.BatchNorm2d(2)
    ours = network.norm1
    reference.load_state_dict(ours.state_dict() | {"num_batches_tracked": torch.tensor(0)})
    images = torch.rand(5, 18) if flat else torch.rand(5, 2, 3, 3)
    torch.testing.assert_close(ours.train()(images), reference.train()(images))
    torch.testing.assert_close(ours.eval()(images), reference.eval()(images))


def test_normalisation_in_groups_is_by_image_and_group():
    nodes = (
        GroupNorm(name="norm1", inputs=(IMAGE,), group_size=2, eps=0.1),
        Flatten(name="flatten1", inputs=("norm1",)),
        Dense(name="dense1", inputs=("flatten1",), units=2),
    )
    network = random_network(Architecture(image_shape=(6, 3, 3), num_classes=2, nodes=nodes))
    images = torch.rand(5, 6, 3, 3)
    groups = images.unflatten(1, (3, 2)).flatten(2)
    mean, variance = groups.mean(2, keepdim=True), groups.var(2, keepdim=True, correction=0)
    expected = ((groups - mean) / (variance + 0.1).sqrt()).view(5, 6, 3, 3)
    weight, bias = (network.get_parameter(f"norm1.{name}").view(-1, 1, 1) for name in ("weight", "bias"))
    torch.testing.assert_close(network.norm1(images), expected * weight + bias)


def test_state_holds_no_more_than_the_tensors():
    architecture = classic_architecture((1, 28, 28), 10, 1000, (0.1,), (0.3,))
    assert list(build_module(architecture).state_dict()) == list(architecture.tensors())


def test_statistics_that_are_kept_are_gone_by_also_while_training():
    architecture = first_architecture((1, 8, 8), 10, 50_000, (0.2,), (0.3,))
    network = random_network(architecture)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = random_images(architecture, 16)
    expected = network.eval()(images)
    network.keep_statistics()
    logits = network.train()(images)
    torch.testing.assert_close(logits, expected)
    logits.sum().backward()
    assert float(network.get_parameter("norm2.weight").grad.abs().sum()) > 0
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert network.training
