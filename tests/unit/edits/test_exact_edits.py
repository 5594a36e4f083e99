from copy import deepcopy

import numpy as np
import pytest
import torch
from applying import applied, network_of
from random_networks import random_images, random_state, random_weights
from torch.nn import functional as F

from modules.architecture.classic import classic_architecture
from modules.architecture.module import build_module
from modules.architecture.start import first_architecture
from modules.edits.add_layer import AddLayer
from modules.edits.narrow_layer import NarrowLayer
from modules.edits.remove_layer import RemoveLayer
from modules.edits.widen_layer import WidenLayer
from modules.edits.widen_network import WidenNetwork
from modules.training.optimizers.schedule_free_adamw import ScheduleFreeAdamW
from modules.training.states import restore_optimizer, section

START = first_architecture((1, 8, 8), 10, 50_000, (0.2,), (0.3,))
CLASSIC = classic_architecture((1, 16, 16), 10, 1000, (0.2,), (0.3,))


@pytest.mark.parametrize(("architecture", "node"), [(START, "conv2"), (CLASSIC, "conv2"), (CLASSIC, "dense1")])
def test_new_channels_are_copies_among_whose_readers_the_weights_are_divided_and_part_at_once(architecture, node):
    outcome = applied(WidenLayer, architecture, node=node)
    network = network_of(outcome).train()
    made, num_old = network.get_parameter(f"{node}.weight"), architecture.tensors()[f"{node}.weight"].shape[0]
    origins = [_twin(made.detach()[:num_old], row) for row in made.detach()[num_old:]]
    assert len(set(origins)) == len(origins) == num_old // 2  # no channel was copied twice
    consumer = {"conv2": "conv3" if architecture is START else "dense1", "dense1": "dense2"}[node]
    consumed = network.get_parameter(f"{consumer}.weight").detach()
    before = torch.from_numpy(random_weights(architecture)[f"{consumer}.weight"])
    by_channel = consumed.reshape(len(consumed), len(made), -1)
    whole = by_channel[:, :num_old].clone()
    whole[:, origins] += by_channel[:, num_old:]
    assert torch.equal(whole.reshape(before.shape), before)
    shares = (by_channel[:, num_old:] != 0).float()
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.05)
    assert (by_channel[:, origins][shares.bool()] == 0).all()  # each weight is in one place
    F.cross_entropy(network(random_images(architecture, 16)), torch.arange(16) % 10).backward()
    of_old, of_new = made.grad[origins].flatten(1), made.grad[num_old:].flatten(1)
    assert float(F.cosine_similarity(of_old, of_new).abs().mean()) < 0.8


def _twin(rows, row):
    (index,) = [number for number, each in enumerate(rows) if torch.equal(each, row)]
    return index


def test_the_most_used_channels_are_copied_with_their_statistics_and_moments():
    state = random_state(START)
    for copy in ("ema", "model"):
        state[f"{copy}.conv3.weight"][:, :16] *= 10
    outcome = applied(WidenLayer, START, state, node="conv2")
    for name in ("ema.norm2.running_mean", "optimizer.exp_avg.conv2.weight", "optimizer.exp_avg_sq.norm2.weight"):
        new = outcome.state[name][32:].flatten(1) if outcome.state[name].ndim > 1 else outcome.state[name][32:, None]
        old = state[name][:16].flatten(1) if state[name].ndim > 1 else state[name][:16, None]
        torch.testing.assert_close(new.sort(dim=0).values, old.sort(dim=0).values)
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


def test_all_groups_are_widened_at_once_and_no_channels_stay_alike():
    added = applied(AddLayer, START, node="activation2")
    wider = applied(WidenNetwork, added.recipe.architecture, added.state)
    widths = {name: shape[0] for name, shape in wider.recipe.architecture.shapes().items() if name.startswith("conv")}
    assert widths == {"conv1": 24, "conv2": 48, "conv5": 48, "conv3": 96, "conv4": 96}
    assert wider.description == "widen all 4 groups of channels by 1.5"
    network = network_of(wider).train()
    F.cross_entropy(network(random_images(START, 16)), torch.arange(16) % 10).backward()
    for name in ("conv1", "conv2", "conv3", "conv4"):
        gradients = network.get_parameter(f"{name}.weight").grad.flatten(1)
        assert len(gradients.unique(dim=0)) == len(gradients)  # no two channels will stay alike


def schedule_free(network, state):
    """The logits of the network as it is trained, and of the average that its optimiser gives."""
    optimizer, average = ScheduleFreeAdamW(network.parameters(), lr=0.1, beta1=0.5), deepcopy(network)
    restore_optimizer(state, network, optimizer)
    with torch.no_grad():
        for ours, theirs in zip(average.parameters(), network.parameters(), strict=True):
            ours.copy_(optimizer.averaged(theirs))
        images = random_images(START)
        return network(images), average(images)


@pytest.mark.parametrize(("edit", "arguments"), [(WidenLayer, {"node": "conv2"}), (WidenNetwork, {})])
def test_of_schedule_free_training_both_copies_of_the_weights_compute_what_they_did(edit, arguments):
    generator = torch.Generator().manual_seed(1)
    state = {name: x for name, x in random_state(START).items() if not name.startswith("optimizer.")}
    for name, spec in START.tensors().items():
        if spec.trainable:
            state[f"optimizer.offset.{name}"] = 0.1 * torch.rand(spec.shape, generator=generator)
    parent = build_module(START).eval()
    parent.load_state_dict(section(state, "model"))
    trained, averaged = schedule_free(parent, state)
    assert not torch.allclose(trained, averaged, rtol=0.1)
    outcome = applied(edit, START, state, **arguments)
    wide_trained, wide_averaged = schedule_free(network_of(outcome, "model"), outcome.state)
    torch.testing.assert_close(wide_trained, trained, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(wide_averaged, averaged, rtol=1e-4, atol=1e-4)


def test_removing_an_added_layer_undoes_it():
    added = applied(AddLayer, START, node="activation2")
    back = applied(RemoveLayer, added.recipe.architecture, added.state, node="add1")
    assert back.recipe.architecture == START
    weights = random_weights(START)
    for name in ("conv1.weight", "conv3.weight", "dense1.weight"):
        np.testing.assert_array_equal(back.state[f"ema.{name}"].numpy(), weights[name])


def test_narrowing_takes_the_silent_channels_first():
    state = random_state(START)
    for copy in ("ema", "model"):
        state[f"{copy}.conv3.weight"][:, ::2] = 0
    narrow = applied(NarrowLayer, START, state, node="conv2", factor=0.5)
    np.testing.assert_array_equal(narrow.state["ema.conv2.weight"].numpy(), state["ema.conv2.weight"][1::2].numpy())


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
