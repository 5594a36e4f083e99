"""Exact edits that insert nodes or widen windows: they change nothing, and what is new learns."""

import pytest
import torch
from applying import applied, network_of
from random_networks import random_images, random_network, random_state
from torch.nn import functional as F

from modules.architecture.classic import classic_architecture
from modules.architecture.start import first_architecture
from modules.edits.add_block import AddBlock
from modules.edits.add_layer import AddLayer
from modules.edits.add_skip import AddSkip
from modules.edits.deepen_layer import DeepenLayer
from modules.edits.lower_kernel import LowerKernel
from modules.edits.raise_kernel import RaiseKernel
from modules.edits.remove_layer import RemoveLayer
from modules.edits.remove_skip import RemoveSkip

START = first_architecture((1, 8, 8), 10, 50_000, (0.2,), (0.3,))
STEM = START.node("conv1").channels
CLASSIC = classic_architecture((1, 16, 16), 10, 1000, (0.2,), (0.3,))


def gradients(outcome):
    network = network_of(outcome).train()
    F.cross_entropy(network(random_images(outcome.recipe.architecture, 16)), torch.arange(16) % 10).backward()
    return {name: parameter.grad for name, parameter in network.named_parameters()}


def test_a_block_learns_at_once_and_goes_as_a_whole():
    outcome = applied(AddBlock, START, node="activation2")
    architecture = outcome.recipe.architecture
    inserted = [node.name for node in architecture.nodes if node.name not in START.shapes()]
    assert inserted == ["conv5", "norm5", "activation5", "conv6", "norm6", "add1"]
    assert (outcome.state["ema.norm6.weight"] == 0).all()
    assert float(gradients(outcome)["norm6.weight"].abs().min()) > 0
    back = applied(RemoveLayer, architecture, outcome.state, node="add1")
    assert back.recipe.architecture == START
    assert back.description == "remove conv5 and conv6 behind activation2"


def test_both_normalisations_of_a_block_know_the_data():
    outcome = applied(AddBlock, START, node="activation2")
    values = network_of(outcome).outputs(random_images(START, 16))
    for norm, layer in (("norm5", "conv5"), ("norm6", "conv6")):
        expected = values[layer].mean((0, 2, 3))
        torch.testing.assert_close(outcome.state[f"ema.{norm}.running_mean"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("architecture", "node"), [(START, "activation2"), (CLASSIC, "activation3")])
def test_a_deepened_layer_gives_back_what_it_gets(architecture, node):
    outcome = applied(DeepenLayer, architecture, node=node)
    after, images = outcome.recipe.architecture, random_images(architecture, 16)
    last = next(name.name for name in after.nodes if name.op == "activation" and name.name not in architecture.shapes())
    for prefix in ("ema", "model"):
        values = network_of(outcome, prefix).outputs(images)
        torch.testing.assert_close(values[last], values[node], rtol=1e-5, atol=1e-5)


def test_a_deepened_layer_is_the_identity_in_training_too_where_batches_are_like_the_data():
    outcome = applied(DeepenLayer, CLASSIC, node="activation3")
    values = network_of(outcome).train().outputs(random_images(CLASSIC, 16))
    torch.testing.assert_close(values["activation4"], values["activation3"], rtol=0, atol=0.01)


def test_the_channels_of_a_deepened_layer_learn_apart():
    grad = gradients(applied(DeepenLayer, START, node="activation2"))["conv5.weight"]
    assert len({tuple(row.flatten().tolist()) for row in grad}) == len(grad)


def test_a_skip_leads_around_layers_once():
    site = {"source": "activation1", "node": "activation2"}
    same = START.with_changed({"conv2": {"channels": STEM}})
    assert site in AddSkip.sites(same)
    outcome = applied(AddSkip, same, **site)
    architecture = outcome.recipe.architecture
    assert architecture.node("pool1").inputs == ("add1",)
    assert architecture.node("add1").inputs == ("activation2", "norm5")
    assert float(gradients(outcome)["norm5.weight"].abs().min()) > 0
    assert site not in AddSkip.sites(architecture)
    assert {"source": "activation1", "node": "add1"} not in AddSkip.sites(architecture)


def test_a_residual_branch_needs_no_skip():
    added = applied(AddBlock, START, node="activation2").recipe.architecture
    ends = [site["node"] for site in AddSkip.sites(added) if site["source"] == "activation2"]
    assert ends == ["norm5", "activation5"]


def test_skips_lead_around_three_layers_at_most():
    architecture = START.with_changed({"conv2": {"channels": STEM}})
    for _ in range(3):
        last = next(node.inputs[0] for node in architecture.nodes if node.name == "pool1")
        architecture = applied(DeepenLayer, architecture, node=last).recipe.architecture
    ends = [site["node"] for site in AddSkip.sites(architecture) if site["source"] == "activation1"]
    assert ends == ["norm2", "activation2", "norm5", "activation5", "norm6", "activation6"]


def test_removing_a_skip_undoes_it_and_removing_the_layers_leaves_it():
    same = START.with_changed({"conv2": {"channels": STEM}})
    outcome = applied(AddSkip, same, source="activation1", node="activation2")
    state, architecture = outcome.state, outcome.recipe.architecture
    back = applied(RemoveSkip, architecture, state, node="add1")
    assert back.recipe.architecture == same
    assert back.description == "remove the skip from norm5 to activation2"
    assert not [name for name in back.state if "norm5" in name]
    short = applied(RemoveLayer, architecture, state, node="add1").recipe.architecture
    assert short.node("norm5").inputs == ("activation1",)
    assert short.node("pool1").inputs == ("norm5",)
    assert not {"conv2", "norm2", "activation2"} & set(short.shapes())


def test_without_its_skip_a_branch_is_all_that_is_read():
    added = applied(AddLayer, START, node="activation2")
    plain = applied(RemoveSkip, added.recipe.architecture, added.state, node="add1").recipe.architecture
    assert plain.node("pool1").inputs == ("norm5",)
    assert plain.node("conv5").inputs == ("activation2",)


def test_a_raised_kernel_has_a_border_of_zeros_that_learns():
    state = random_state(START)
    outcome = applied(RaiseKernel, START, state, node="conv2")
    weight, moment = outcome.state["ema.conv2.weight"], outcome.state["optimizer.exp_avg.conv2.weight"]
    assert outcome.recipe.architecture.node("conv2").padding == 2
    for tensor, before in ((weight, state["ema.conv2.weight"]), (moment, state["optimizer.exp_avg.conv2.weight"])):
        assert torch.equal(tensor[:, :, 1:-1, 1:-1], before)
        assert float(tensor.abs().sum()) == pytest.approx(float(before.abs().sum()), rel=1e-5)
    assert outcome.state["optimizer.step.conv2.weight"] == 7
    assert float(gradients(outcome)["conv2.weight"][:, :, 0].abs().min()) > 0
    back = applied(LowerKernel, outcome.recipe.architecture, outcome.state, node="conv2")
    assert back.recipe.architecture == START
    assert torch.equal(back.state["ema.conv2.weight"], state["ema.conv2.weight"])
    assert torch.equal(back.state["optimizer.exp_avg.conv2.weight"], state["optimizer.exp_avg.conv2.weight"])


def test_kernels_stop_where_planes_do():
    assert [site["node"] for site in RaiseKernel.sites(START)] == ["conv1", "conv2"]  # the others are on 4 x 4
    twice = START.with_changed({"conv1": {"kernel": 7, "padding": 3}})
    assert {"node": "conv1"} not in RaiseKernel.sites(twice)


def test_the_mean_of_a_convolution_with_a_lower_kernel_stays():
    padded = CLASSIC.with_changed({"conv1": {"padding": 1}, "conv2": {"padding": 1}})
    padded = padded.with_changed({"dense1": {"units": 64}})
    images = random_images(padded, 16)
    before = random_network(padded).outputs(images)["conv2"].detach()
    after = network_of(applied(LowerKernel, padded, node="conv2")).outputs(images)["conv2"].detach()
    torch.testing.assert_close(after.mean((0, 2, 3)), before.mean((0, 2, 3)), rtol=0, atol=1e-4)
    assert (after - before).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("edit", "arguments", "sentence"),
    [
        (AddBlock, {"node": "conv1"}, "a block is added behind an activation of an image, and 'conv1' is none"),
        (AddBlock, {"node": "activation3"}, "'activation3' is none; there are: activation1, activation2"),
        (DeepenLayer, {"node": "pool1"}, "a layer on the path is added behind a ReLU, and 'pool1' is none"),
        (DeepenLayer, {"node": "activation1", "kernel": 4}, "kernel must be odd"),
        (AddSkip, {"source": "pool1", "node": "activation2"}, "no skip leads from 'pool1' to 'activation2'"),
        (RaiseKernel, {"node": "pool1"}, "'pool1' is no convolution with a kernel of at most 5"),
        (LowerKernel, {"node": "conv1"}, "'conv1' is no padded convolution"),
        (RemoveSkip, {"node": "conv1"}, "a skip ends in a sum, and 'conv1' is none; there are: none"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(edit, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        applied(edit, CLASSIC, **arguments)


@pytest.mark.parametrize("kind", ["silu", "gelu"])
def test_only_relu_is_deepened(kind):
    architecture = START.with_changed({"activation2": {"kind": kind}})
    assert {"node": "activation2"} not in DeepenLayer.sites(architecture)
    with pytest.raises(ValueError, match="behind a ReLU, and 'activation2' is none"):
        applied(DeepenLayer, architecture, node="activation2")


def test_a_dead_layer_does_not_make_a_normalisation_explode():
    state = random_state(START)
    state["ema.norm2.bias"] -= 1e4  # nothing passes the ReLU behind it
    outcome = applied(AddBlock, START, state, node="activation2")
    assert (outcome.state["ema.norm5.running_var"] == 1).all()
