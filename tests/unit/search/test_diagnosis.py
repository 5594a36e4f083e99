"""What a diagnosis asks for: each rule on layers made up for it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import architectures

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.layers import layers_of
from modules.architecture.nodes import Activation, Add, Conv, Dense, GlobalPool, Norm
from modules.records import LayerMeasures
from modules.search.diagnosis import Diagnosis

# A trunk of eight channels with a residual branch, then sixteen of their own.
NODES = (
    Conv(name="conv1", inputs=(IMAGE,), channels=8, kernel=3, padding=1),
    Norm(name="norm1", inputs=("conv1",)),
    Activation(name="act1", inputs=("norm1",)),
    Conv(name="conv2", inputs=("act1",), channels=8, kernel=3, padding=1),
    Norm(name="norm2", inputs=("conv2",)),
    Add(name="add1", inputs=("act1", "norm2")),
    Conv(name="conv3", inputs=("add1",), channels=16, kernel=3, padding=1),
    Activation(name="act3", inputs=("conv3",)),
    GlobalPool(name="pool1", inputs=("act3",)),
    Dense(name="dense1", inputs=("pool1",), units=3),
)
ARCHITECTURE = Architecture(image_shape=(1, 8, 8), num_classes=3, nodes=NODES)
OUTPUTS = {layer.node: layer.output for layer in layers_of(ARCHITECTURE)}


def layer(node, channels=8, rank=0.4, **measures):
    usual = {"silent": 0.0, "duplicated": 0.0, "similarity": 0.9, "agreement": None}
    return LayerMeasures(
        node=node,
        output=OUTPUTS[node],
        channels=channels,
        effective_rank=rank * channels,
        full_rank=channels,
        **{**usual, **measures},
    )


def diagnosis(*layers, train_loss=0.10, steer_loss=0.11) -> Diagnosis:
    return Diagnosis(
        train_loss=train_loss, steer_loss=steer_loss, train_error=0.01, steer_error=0.02, layers=tuple(layers)
    )


def asked(found):
    return {(finding.edit, finding.node) for finding in found.findings(ARCHITECTURE)}


def test_the_fit_by_hand():
    small, large = diagnosis(), diagnosis(train_loss=0.05, steer_loss=0.10)
    assert small.gap == pytest.approx(0.01 / 0.11)
    assert small.leaning == "grow"
    assert "the gap is small" in small.fit
    assert large.leaning == "shrink"
    assert large.fit == (
        "the loss is 0.05 on training images and 0.1 on steer: the gap is large, so that more capacity may not help by "
        "itself"
    )
    assert diagnosis(train_loss=0.0, steer_loss=0.0).gap == 0.0


@pytest.mark.parametrize("gap", [{}, {"train_loss": 0.01}])
def test_a_network_without_anything_special_asks_for_nothing(gap):
    healthy = diagnosis(layer("conv1"), layer("conv2"), layer("add1", agreement=0.8), layer("conv3", 16), **gap)
    assert healthy.findings(ARCHITECTURE) == ()
    assert healthy.headline(ARCHITECTURE) == healthy.fit


def test_redundant_channels_ask_for_fewer():
    found = diagnosis(layer("conv3", 16, silent=0.25, duplicated=0.125))
    (finding,) = found.findings(ARCHITECTURE)
    assert (finding.edit, finding.node, finding.rule) == ("narrow_layer", "conv3", "redundant channels")
    assert finding.reason == (
        "of the 16 channels after act3 25% hardly vary and 12% follow another one, so that there is capacity left over"
    )
    assert finding.reason in found.headline(ARCHITECTURE)
    more = diagnosis(layer("conv3", 16, silent=0.4)).findings(ARCHITECTURE)[0]
    assert more.strength > finding.strength > 1


def test_channels_that_are_shared_must_be_redundant_everywhere():
    dead_branch = diagnosis(layer("conv1"), layer("conv2", silent=1.0), layer("add1"))
    assert asked(dead_branch) == set()
    dead = diagnosis(layer("conv1", silent=0.25), layer("conv2", silent=1.0), layer("add1", silent=0.25))
    assert asked(dead) == {("narrow_layer", "conv1")}


def test_channels_that_cannot_change_in_number_are_left():
    nodes = (
        *NODES[:3],
        GlobalPool(name="pool1", inputs=("act1",)),
        Dense(name="dense0", inputs=("pool1",), units=3),
        Activation(name="act3", inputs=("dense0",)),
        Norm(name="norm3", inputs=("act3",)),
    )
    architecture = Architecture(image_shape=(1, 8, 8), num_classes=3, nodes=nodes)
    redundant = layer("conv1").updated(node="dense0", output="norm3", silent=0.5, channels=3)
    assert diagnosis(redundant).findings(architecture) == ()


def test_a_full_layer_asks_for_more_where_the_gap_is_small():
    full = layer("conv3", 16, rank=0.8)
    assert asked(diagnosis(full)) == {
        ("widen_layer", "conv3"),
        ("add_layer", "act3"),
        ("add_block", "act3"),
        ("deepen_layer", "act3"),
    }
    assert asked(diagnosis(full, train_loss=0.01)) == set()
    finding = diagnosis(full).findings(ARCHITECTURE)[0]
    assert finding.edit == "widen_layer"
    assert finding.reason == (
        "the 16 channels after act3 have an effective rank of 12.8, which is much, and the gap is small, so that it "
        "may be short of capacity"
    )


def test_shared_channels_are_widened_once():
    full = diagnosis(layer("conv1", rank=0.7), layer("conv2", rank=0.6), layer("add1", rank=0.9))
    (widened,) = [finding for finding in full.findings(ARCHITECTURE) if finding.edit == "widen_layer"]
    assert widened.node == "conv1"
    assert "after add1" in widened.reason  # the strongest of the three


def test_an_idle_layer_asks_for_less_where_the_gap_is_large():
    idle = layer("conv3", 16, rank=0.1)
    assert asked(diagnosis(idle, train_loss=0.01)) == {("narrow_layer", "conv3"), ("lower_kernel", "conv3")}
    assert asked(diagnosis(idle)) == set()
    assert asked(diagnosis(layer("add1", rank=0.1), train_loss=0.01)) == {("narrow_layer", "conv1")}


@pytest.mark.parametrize("node", ["conv2", "add1"])
def test_what_changes_next_to_nothing_is_to_go(node):
    (finding,) = diagnosis(layer(node, agreement=0.995)).findings(ARCHITECTURE)
    assert (finding.edit, finding.node) == ("remove_layer", node)
    assert finding.reason == f"{node} changes next to nothing: the cosine of its input and output is 0.995"
    assert asked(diagnosis(layer(node, agreement=0.97, similarity=0.999))) == set()  # alike is not unchanged


@given(architectures(), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 1), st.floats(-1, 1), st.booleans())
@settings(max_examples=50)
def test_findings_name_nodes_and_say_why(architecture, silent, duplicated, rank, agreement, overfits):
    shapes = architecture.shapes()
    layers = [
        LayerMeasures(
            node=each.node,
            output=each.output,
            channels=shapes[each.output][0],
            silent=silent,
            duplicated=duplicated,
            effective_rank=rank * shapes[each.output][0],
            full_rank=shapes[each.output][0],
            similarity=0.5,
            agreement=agreement,
        )
        for each in layers_of(architecture)
    ]
    found = diagnosis(*layers, train_loss=0.01 if overfits else 0.11).findings(architecture)
    assert [finding.strength for finding in found] == sorted((each.strength for each in found), reverse=True)
    assert len({(finding.edit, finding.node) for finding in found}) == len(found)
    for finding in found:
        assert finding.node in shapes
        assert 1 < finding.strength <= 6
        assert any(character.isdigit() for character in finding.reason)


@pytest.mark.parametrize(("train_loss", "direction"), [(0.01, "stronger"), (0.1, None), (0.12, "weaker")])
def test_the_gap_says_how_strongly_to_augment(train_loss, direction):
    found = diagnosis(train_loss=train_loss).findings_of_recipe
    assert [finding.site for finding in found] == ([{"direction": direction}] if direction else [])
    assert all(f"the loss is {train_loss} on training images" in finding.reason for finding in found)
