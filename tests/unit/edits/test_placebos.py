"""Placebos do nothing: not to the function, not to what is learnt."""

import pytest
import torch
from applying import applied, network_of
from random_networks import random_images, random_network, random_state
from torch.nn import functional as F

from modules.architecture.classic import classic_architecture
from modules.architecture.start import first_architecture
from modules.edits.add_layer import AddLayer
from modules.edits.placebo_branch import PlaceboBranch
from modules.edits.placebo_permute import PlaceboPermute

START = first_architecture((1, 8, 8), 10, 50_000, (0.2,), (0.3,))
CLASSIC = classic_architecture((1, 16, 16), 10, 1000, (0.2,), (0.3,))


def trained_on(network, images, steps=5, **arguments):
    optimizer = torch.optim.AdamW(network.train().parameters(), lr=0.01, **arguments)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(network(images), torch.arange(len(images)) % 10).backward()
        optimizer.step()
    return network


def test_a_permutation_is_the_same_network_in_another_order():
    state = random_state(CLASSIC)
    outcome = applied(PlaceboPermute, CLASSIC, state, node="conv2")
    assert outcome.recipe.architecture == CLASSIC
    assert outcome.description == "permute the channels of conv2 (a placebo)"
    before, after = state["ema.conv2.weight"], outcome.state["ema.conv2.weight"]
    order = [int((before == row).flatten(1).all(1).nonzero()) for row in after]
    assert sorted(order) == list(range(64))
    assert order != sorted(order)
    for name in ("model.conv2.bias", "optimizer.exp_avg.conv2.weight", "optimizer.exp_avg_sq.conv2.bias"):
        assert torch.equal(outcome.state[name], state[name][order]), name
    features = state["optimizer.exp_avg.dense1.weight"].unflatten(1, (64, 4))[:, order].flatten(1)
    assert torch.equal(outcome.state["optimizer.exp_avg.dense1.weight"], features)
    assert outcome.state["optimizer.step.conv2.weight"] == 7


def test_the_order_is_that_of_the_seed():
    one, same, other = (applied(PlaceboPermute, START, seed=seed, node="conv1").state for seed in (1, 1, 2))
    assert torch.equal(one["ema.conv1.weight"], same["ema.conv1.weight"])
    assert not torch.equal(one["ema.conv1.weight"], other["ema.conv1.weight"])


def test_a_residual_group_is_permuted_as_a_whole():
    added = applied(AddLayer, START, node="activation2")
    outcome = applied(PlaceboPermute, added.recipe.architecture, added.state, node="conv2")
    assert outcome.certificate.max_logit_change < 1e-5


@pytest.mark.parametrize("node", ["activation1", "activation3"])
def test_a_silent_branch_stays_silent_and_lets_the_others_learn_as_they_would(node):
    images = random_images(CLASSIC, 8)
    outcome = applied(PlaceboBranch, CLASSIC, node=node)
    assert outcome.certificate.max_logit_change == 0
    (layer,) = set(outcome.recipe.architecture.tensors()) - set(CLASSIC.tensors()) - {"conv3.weight", "dense3.weight"}
    without = trained_on(random_network(CLASSIC), images)
    with_branch = trained_on(network_of(outcome), images)
    assert (with_branch.get_parameter(layer) < -0.99e6).all()  # weight decay alone
    for name, parameter in without.named_parameters():
        assert torch.equal(with_branch.get_parameter(name), parameter), name


def test_what_does_not_fit_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="a silent branch is added behind an activation, and 'conv1' is none"):
        applied(PlaceboBranch, START, node="conv1")
    with pytest.raises(ValueError, match="they are the classes"):
        applied(PlaceboPermute, START, node="dense1")
    single = START.with_changed({"conv1": {"channels": 1}})
    assert {"node": "conv1"} not in PlaceboPermute.sites(single)
    with pytest.raises(ValueError, match="'conv1' has a single channel"):
        applied(PlaceboPermute, single, node="conv1")
