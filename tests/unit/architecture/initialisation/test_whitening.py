import pytest
import torch

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.initialisation.patches import whitening_directions
from modules.architecture.initialisation.whitening import Whitening
from modules.architecture.module import build_module, initial_tensors
from modules.architecture.nodes import Conv, Dense, GlobalPool, Standardise
from modules.architecture.vgg import vgg_architecture


def network_and_images(channels=14, groups=1, image_channels=1):
    architecture = Architecture(
        image_shape=(image_channels, 6, 6),
        num_classes=3,
        nodes=(
            Standardise(
                name="standardise1", inputs=(IMAGE,), mean=(0.5,) * image_channels, std=(0.25,) * image_channels
            ),
            Conv(name="conv1", inputs=("standardise1",), channels=channels, kernel=2, groups=groups),
            GlobalPool(name="pool1", inputs=("conv1",)),
            Dense(name="dense1", inputs=("pool1",), units=3),
        ),
    )
    network = build_module(architecture)
    drawn = initial_tensors(architecture, Whitening(), seed=0)
    network.load_state_dict({name: torch.from_numpy(values) for name, values in drawn.items()})
    smooth = torch.rand(64, image_channels, 6, 6, generator=torch.Generator().manual_seed(0)).cumsum(dim=3) / 6
    return network, smooth


def test_what_the_first_convolution_gives_is_white():
    network, images = network_and_images(channels=4)
    Whitening(eps=1e-9).fit(network, images)
    features = network.outputs(images)["conv1"].detach().transpose(0, 1).flatten(1)
    assert torch.cov(features) == pytest.approx(torch.eye(4), abs=1e-3)


def test_channels_beyond_both_signs_and_all_other_layers_keep_what_was_drawn():
    network, images = network_and_images(channels=14)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    Whitening().fit(network, images)
    weight = network.state_dict()["conv1.weight"]
    assert torch.equal(weight[:4], -weight[4:8])
    assert not torch.equal(weight[:8], before["conv1.weight"][:8])
    assert torch.equal(weight[8:], before["conv1.weight"][8:])
    assert torch.equal(network.state_dict()["dense1.weight"], before["dense1.weight"])


def test_grouped_channels_keep_what_was_drawn():
    network, images = network_and_images(channels=4, groups=2, image_channels=2)
    before = network.state_dict()["conv1.weight"].clone()
    Whitening().fit(network, images)
    assert torch.equal(network.state_dict()["conv1.weight"], before)


def test_directions_come_by_variance_and_with_one_sign():
    patches = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, -1.0], [0.0, 1.0]])
    directions = whitening_directions(patches, eps=0.0)
    assert directions == pytest.approx(torch.tensor([[1 / 6**0.5, 0.0], [0.0, (3 / 2) ** 0.5]]).double())


def test_a_shade_that_never_varies_does_not_blow_up():
    assert torch.isfinite(whitening_directions(torch.ones(10, 4), eps=5e-4)).all()


def test_it_fits_the_network_that_it_is_meant_for():
    architecture = vgg_architecture((3, 32, 32), 10, 50_000, (0.5,) * 3, (0.25,) * 3)
    network = build_module(architecture)
    Whitening().fit(network, torch.rand(32, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    weight = network.state_dict()["conv1.weight"]
    assert torch.equal(weight[:12], -weight[12:])
