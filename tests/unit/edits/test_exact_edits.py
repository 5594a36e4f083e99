import numpy as np
import pytest
import torch
from applying import applied, network_of
from random_networks import random_images, random_network, random_weights
from torch.nn import functional as F

from modules.architecture.classic import classic_architecture
from modules.architecture.start import first_architecture
from modules.edits.add_layer import AddLayer
from modules.edits.narrow_layer import NarrowLayer
from modules.edits.remove_layer import RemoveLayer
from modules.edits.widen_layer import WidenLayer
from modules.edits.widen_network import WidenNetwork

START = first_architecture((1, 8, 8), 10, 50_000, (0.2,), (0.3,))
CLASSIC = classic_architecture((1, 16, 16), 10, 1000, (0.2,), (0.3,))


@pytest.mark.parametrize(("architecture", "node"), [(START, "conv2"), (CLASSIC, "conv2"), (CLASSIC, "dense1")])
def test_new_channels_are_random_coming_in_and_silent_going_out_and_learn(architecture, node):
    outcome = applied(WidenLayer, architecture, node=node)
    network = network_of(outcome).train()
    old = architecture.tensors()[f"{node}.weight"].shape[0]
    made = network.get_parameter(f"{node}.weight").detach()
    assert float(made[old:].std()) == pytest.approx(float(made[:old].std()), rel=0.2)
    assert len({tuple(row.flatten().tolist()) for row in made}) == len(made)  # no twins
    consumer = {"conv2": "conv3" if architecture is START else "dense1", "dense1": "dense2"}[node]
    consumed = network.get_parameter(f"{consumer}.weight")
    width = architecture.tensors()[f"{consumer}.weight"].shape[1]
    assert (consumed.detach()[:, width:] == 0).all()
    images = random_images(architecture, 16)
    F.cross_entropy(network(images), torch.arange(16) % 10).backward()
    assert float(consumed.grad[:, width:].abs().mean()) > 0.1 * float(consumed.grad[:, :width].abs().mean())


def test_new_normalisations_know_the_data():
    outcome = applied(WidenLayer, START, node="conv2")
    network = network_of(outcome)
    values = network.outputs(random_images(START, 16))["conv2"][:, 32:]
    torch.testing.assert_close(outcome.state["ema.norm2.running_mean"][32:], values.mean((0, 2, 3)))
    torch.testing.assert_close(outcome.state["ema.norm2.running_var"][32:], values.var((0, 2, 3), correction=0))
    before = random_network(START).state_dict()
    assert torch.equal(outcome.state["ema.norm2.running_mean"][:32], before["norm2.running_mean"])


def test_moments_of_new_entries_are_zero_and_the_others_stay():
    outcome = applied(WidenLayer, START, node="conv2")
    moment = outcome.state["optimizer.exp_avg.conv2.weight"]
    assert (moment[32:] == 0).all()
    assert (moment[:32] > 0).any()
    assert outcome.state["optimizer.step.conv2.weight"] == 7
    added = applied(AddLayer, START, node="activation2")
    assert "optimizer.exp_avg.conv5.weight" not in added.state


def test_an_added_branch_learns_at_once():
    outcome = applied(AddLayer, START, node="activation2")
    network = network_of(outcome).train()
    F.cross_entropy(network(random_images(START, 16)), torch.arange(16) % 10).backward()
    assert float(network.get_parameter("norm5.weight").grad.abs().sum()) > 0
    assert (network.get_parameter("norm5.weight") == 0).all()
    assert outcome.recipe.architecture.node("conv3").inputs == ("pool1",)
    assert outcome.recipe.architecture.node("pool1").inputs == ("add1",)


def test_a_residual_group_is_widened_as_a_whole():
    added = applied(AddLayer, START, node="activation2")
    wider = applied(WidenLayer, added.recipe.architecture, added.state, node="conv2")
    assert wider.description == "widen conv2 and conv5 from 32 to 48 channels"
    assert wider.recipe.architecture.tensors()["conv5.weight"].shape == (48, 48, 3, 3)


def test_all_groups_are_widened_at_once_and_each_new_weight_learns_or_is_about_to():
    added = applied(AddLayer, START, node="activation2")
    wider = applied(WidenNetwork, added.recipe.architecture, added.state)
    widths = {name: shape[0] for name, shape in wider.recipe.architecture.shapes().items() if name.startswith("conv")}
    assert widths == {"conv1": 24, "conv2": 48, "conv5": 48, "conv3": 96, "conv4": 96}
    assert wider.description == "widen all 4 groups of channels by 1.5"
    consumed = network_of(wider).get_parameter("conv3.weight").detach()
    assert (consumed[:64, 32:] == 0).all()  # nothing new reaches what was there
    assert float(consumed[64:, 32:].std()) > 0  # but all of it the new channels
    network = network_of(wider).train()
    F.cross_entropy(network(random_images(START, 16)), torch.arange(16) % 10).backward()
    assert float(network.get_parameter("conv3.weight").grad[:64, 32:].abs().sum()) > 0


def test_removing_an_added_layer_undoes_it():
    added = applied(AddLayer, START, node="activation2")
    back = applied(RemoveLayer, added.recipe.architecture, added.state, node="add1")
    assert back.recipe.architecture == START
    weights = random_weights(START)
    for name in ("conv1.weight", "conv3.weight", "dense1.weight"):
        np.testing.assert_array_equal(back.state[f"ema.{name}"].numpy(), weights[name])


def test_narrowing_takes_the_silent_channels_first():
    wider = applied(WidenLayer, START, node="conv2", factor=1.5)
    back = applied(NarrowLayer, wider.recipe.architecture, wider.state, node="conv2", factor=2 / 3)
    assert back.recipe.architecture == START
    np.testing.assert_array_equal(back.state["ema.conv2.weight"].numpy(), random_weights(START)["conv2.weight"])


@pytest.mark.parametrize(
    ("size", "factor", "expected"),
    [(1, 1.1, 2), (3, 1.5, 4), (8, 1.01, 12), (24, 1.25, 32), (32, 1.5, 48), (30, 1.05, 32)],
)
def test_widths_are_what_processors_like(size, factor, expected):
    architecture = START.with_changed({"conv1": {"channels": size}})
    outcome = applied(WidenLayer, architecture, node="conv1", factor=factor)
    assert outcome.recipe.architecture.node("conv1").channels == expected


@pytest.mark.parametrize(
    ("edit", "arguments", "sentence"),
    [
        (WidenLayer, {"node": "conv1", "factor": 1.0}, "factor must be above 1 to widen, got 1.0"),
        (WidenLayer, {"node": "dense1"}, "they are the classes"),
        (WidenNetwork, {"factor": 1.0}, "factor must be above 1 to widen, got 1.0"),
        (NarrowLayer, {"node": "conv1", "factor": 1.0}, "factor must lie between 0 and 1 to narrow, got 1.0"),
        (AddLayer, {"node": "conv1"}, "behind an activation, and 'conv1' is none; there are: activation1"),
        (AddLayer, {"node": "activation1", "kernel": 2}, "kernel must be odd"),
        (RemoveLayer, {"node": "conv1"}, "'conv1' cannot be bypassed"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(edit, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        applied(edit, START, **arguments)
