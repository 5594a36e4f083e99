"""Which nodes make up a layer, and which group its channels belong to."""

from hypothesis import given
from random_networks import architectures

from modules.architecture.channels import channel_groups, groups_by_node
from modules.architecture.description import IMAGE, Architecture
from modules.architecture.layers import Layer, layers_of
from modules.architecture.nodes import Activation, Add, Conv, Dense, GlobalPool, Norm

NODES = (
    Conv(name="conv1", inputs=(IMAGE,), channels=4, kernel=3, padding=1),
    Norm(name="norm1", inputs=("conv1",)),
    Activation(name="act1", inputs=("norm1",)),
    Conv(name="conv2", inputs=("act1",), channels=4, kernel=3, padding=1),
    Activation(name="act2", inputs=("conv2",)),
    Norm(name="norm2", inputs=("act2",)),
    Add(name="add1", inputs=("norm2", "act1")),
    Activation(name="act3", inputs=("add1",)),
    Conv(name="conv3", inputs=("act3",), channels=4, kernel=1),
    Conv(name="conv4", inputs=("act3",), channels=4, kernel=1),
    Add(name="add2", inputs=("conv3", "conv4")),
    GlobalPool(name="pool1", inputs=("add2",)),
    Dense(name="dense1", inputs=("pool1",), units=3),
)
ARCHITECTURE = Architecture(image_shape=(1, 5, 5), num_classes=3, nodes=NODES)


def test_layers_by_hand():
    layers = {layer.node: layer for layer in layers_of(ARCHITECTURE)}
    assert list(layers) == ["conv1", "conv2", "add1", "conv3", "conv4", "add2"]
    assert layers["conv1"] == Layer("conv1", ("conv1", "norm1", "act1"), IMAGE, False)
    assert layers["conv2"] == Layer("conv2", ("conv2", "act2", "norm2"), "act1", False)
    assert layers["add1"] == Layer("add1", ("add1", "act3"), "act1", True)  # what it is added to came first
    assert layers["add2"].source is None  # neither was made from the other
    assert (layers["add1"].output, layers["add1"].compared) == ("act3", "add1")
    assert (layers["conv2"].output, layers["conv2"].compared) == ("norm2", "norm2")


@given(architectures())
def test_no_node_is_in_two_layers_and_only_the_first_makes_channels(architecture):
    seen = [name for layer in layers_of(architecture) for name in layer.nodes]
    assert len(set(seen)) == len(seen)
    groups, shapes = groups_by_node(architecture), architecture.shapes()
    for layer in layers_of(architecture):
        assert {shapes[name] for name in layer.nodes} == {shapes[layer.node]}
        assert len({groups[name].makers for name in layer.nodes}) == 1


@given(architectures())
def test_every_node_has_the_group_that_its_channels_are_of(architecture):
    groups = groups_by_node(architecture)
    assert set(groups) == {IMAGE, *(node.name for node in architecture.nodes)}
    assert {group.makers for group in groups.values()} == {group.makers for group in channel_groups(architecture)}
    for group in channel_groups(architecture):
        for maker in group.makers:
            assert groups[maker] == group
