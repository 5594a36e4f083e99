import pytest
import torch
from hypothesis import given
from random_networks import architectures, random_images, random_network
from torch.utils.flop_counter import FlopCounterMode

from modules.architecture.classic import classic_architecture
from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import (
    Activation,
    Add,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    GroupNorm,
    MaxPool,
    Norm,
    Resize,
    Standardise,
)


def test_values_that_are_held_at_once_by_hand():
    nodes = (
        Conv(name="conv1", inputs=(IMAGE,), channels=2, kernel=3, padding=1),
        Conv(name="conv2", inputs=("conv1",), channels=2, kernel=3, padding=1),
        Activation(name="act1", inputs=("conv2",)),
        Add(name="add1", inputs=("conv1", "act1")),
        Flatten(name="flat1", inputs=("add1",)),
        Dense(name="dense1", inputs=("flat1",), units=2),
    )
    assert Architecture(image_shape=(1, 4, 4), num_classes=2, nodes=nodes).live_values() == 3 * 32
    chain = (nodes[0], Flatten(name="flat1", inputs=("conv1",)), nodes[-1])
    assert Architecture(image_shape=(1, 4, 4), num_classes=2, nodes=chain).live_values() == 2 * 32


@given(architectures())
def test_it_knows_what_the_module_has_and_does(architecture):
    network = random_network(architecture)
    outputs = network.outputs(random_images(architecture, 2))
    assert {name: tuple(values.shape[1:]) for name, values in outputs.items()} == architecture.shapes()
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == {
        name: spec.shape for name, spec in architecture.tensors().items()
    }
    trainable = {name for name, _ in network.named_parameters()}
    assert trainable == {name for name, spec in architecture.tensors().items() if spec.trainable}
    assert architecture.params == sum(parameter.numel() for parameter in network.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(random_images(architecture, 1))
    # a resize is two products as well, which have no weights and are counted with the rest of the work
    shapes = architecture.shapes()
    resizes = [node for node in architecture.nodes if isinstance(node, Resize)]
    resized = sum(node.element_flops(shapes[node.inputs[0]], shapes[node.name]) for node in resizes)
    assert architecture.product_flops + resized == counter.get_total_flops()
    assert architecture.flops >= architecture.product_flops


@given(architectures())
def test_json_gives_the_same_architecture(architecture):
    copy = Architecture.model_validate_json(architecture.model_dump_json())
    assert copy == architecture
    assert copy.content_digest == architecture.content_digest


def test_flops_by_hand():
    architecture = Architecture(
        image_shape=(2, 4, 4),
        num_classes=3,
        nodes=(
            Standardise(name="standardise1", inputs=(IMAGE,), mean=(0, 0), std=(1, 1)),
            Conv(name="conv1", inputs=("standardise1",), channels=5, kernel=3),
            Norm(name="norm1", inputs=("conv1",)),
            GroupNorm(name="norm2", inputs=("norm1",), group_size=5),
            Activation(name="activation1", inputs=("norm2",)),
            Add(name="add1", inputs=("activation1", "norm1")),
            MaxPool(name="pool1", inputs=("add1",), kernel=2, stride=2),
            GlobalPool(name="global1", inputs=("pool1",)),
            Dropout(name="dropout1", inputs=("global1",), rate=0.5),
            Dense(name="dense1", inputs=("dropout1",), units=3),
        ),
    )
    standardise, conv, norm = 2 * 32, 2 * 5 * 4 * 18 + 20, 2 * 20 + 7 * 20
    activation, add, pool, last_pool, dense = 20, 20, 5 * 4, 5, 2 * 5 * 3 + 3
    assert architecture.flops == standardise + conv + norm + activation + add + pool + last_pool + dense
    assert architecture.params == 5 * 2 * 9 + 5 + 2 * 5 + 2 * 5 + 5 * 3 + 3


CONV = Conv(name="conv1", inputs=(IMAGE,), channels=4, kernel=3)
POOL = GlobalPool(name="global1", inputs=("conv1",))
LAST = Dense(name="dense1", inputs=("global1",), units=2)


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        ((), "the last node must give 2 logits, one a class; it gives nothing"),
        ((CONV, POOL), r"must give 2 logits, one a class; it gives \(4,\)"),
        ((CONV, CONV, POOL, LAST), "two nodes are called 'conv1'"),
        ((CONV, LAST), "'dense1' reads 'global1', which is none of those before it"),
        ((CONV, Add(name="global1", inputs=("conv1",)), LAST), "'global1' .add. takes 2 inputs, got 1"),
        ((CONV, LAST.updated(inputs=("conv1",))), "'dense1' .Dense. needs features"),
        ((CONV, POOL, POOL.updated(name="global2", inputs=("global1",)), LAST), "needs channels, height and width"),
        (
            (CONV, GroupNorm(name="norm1", inputs=("conv1",), group_size=3), POOL, LAST),
            "groups of 3 channels; its 4 must",
        ),
        (
            (CONV.updated(kernel=6), GroupNorm(name="norm1", inputs=("conv1",), group_size=1), POOL, LAST),
            "'norm1' normalises single elements",
        ),
        ((CONV.updated(kernel=9), POOL, LAST), "a window of 9 with padding 0; its input is 6 x 6"),
        ((CONV.updated(groups=3), POOL, LAST), "3 groups, which must divide its 1 inputs and 4 outputs"),
        ((CONV, POOL, Flatten(name="flatten1", inputs=("conv1",)), LAST), "'flatten1' is read by no other node"),
        ((CONV, Add(name="add1", inputs=("conv1", IMAGE)), POOL, LAST), "needs two inputs of one shape"),
        (
            (Standardise(name="standardise1", inputs=(IMAGE,), mean=(0, 0), std=(1,)), CONV, POOL, LAST),
            "2 means and 1 deviations for 1 channels",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(nodes, sentence):
    with pytest.raises(ValueError, match=sentence):
        Architecture(image_shape=(1, 6, 6), num_classes=2, nodes=nodes)


@pytest.mark.parametrize(
    "fields", [{"channels": 0}, {"kernel": 0}, {"stride": 0}, {"padding": -1}, {"groups": 0}, {"name": "Not A Name"}]
)
def test_sizes_and_names_are_checked(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        CONV.updated(**fields)


def test_nodes_are_inserted_replaced_and_bypassed():
    classic = classic_architecture((1, 28, 28), 10, 1000, (0.1,), (0.3,))
    assert classic.fresh_name("conv") == "conv3"
    assert classic.fresh_name("add") == "add1"
    grown = classic.inserted_after("activation1", [Norm(name="norm1", inputs=("activation1",))])
    assert grown.node("pool1").inputs == ("norm1",)
    assert grown.without({"norm1": "activation1"}) == classic
    changed = grown.replaced("norm1", [Dropout(name="dropout1", inputs=("activation1",), rate=0.1)])
    assert changed.node("pool1").inputs == ("dropout1",)
    assert [node.name for node in changed.readers("dropout1")] == ["pool1"]
    with pytest.raises(ValueError, match="there is no node 'norm1'; there are"):
        changed.node("norm1")


def test_what_is_up_and_down_the_stream():
    classic = classic_architecture((1, 28, 28), 10, 1000, (0.1,), (0.3,))
    assert [node.name for node in classic.downstream("dense1")] == ["activation3", "dense2"]
    assert classic.upstream("conv1") == {"conv1", "standardise1", IMAGE}
    assert classic.downstream(IMAGE) == classic.nodes
