"""A training that goes on with a momentum that it began without, or without one that it had, as in a user's space."""

import pytest
import torch
from one_step import step
from tiny_study import tiny_architecture

from modules.architecture.module import build_module
from modules.records import Part
from modules.training.optimizer import build_optimizer
from modules.training.states import collect_state, restore_optimizer, section


def part(name, momentum):
    return Part(target=f"torch.optim.{name}", arguments={"momentum": momentum})


def network_and_optimizer(of):
    network = build_module(tiny_architecture(dropout=0.0))
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5, generator)
    return network, build_optimizer(of, network)


def gone_on(before, after):
    """A network that took three steps with one optimiser, and the other one with what the first one left."""
    network, optimizer = network_and_optimizer(before)
    for number in range(3):
        step(network, optimizer, number)
    state = collect_state(network, network, optimizer)
    again, its_optimizer = network_and_optimizer(after)
    again.load_state_dict(section(state, "model"))
    restore_optimizer(state, again, its_optimizer)
    return again, its_optimizer


@pytest.mark.parametrize("name", ["RMSprop", "SGD"])
def test_a_new_momentum_begins_with_the_step_that_would_be_taken_without(name):
    network, optimizer = gone_on(part(name, 0.0), part(name, 0.9))
    plain, its_optimizer = gone_on(part(name, 0.0), part(name, 0.0))
    step(network, optimizer, 3)
    step(plain, its_optimizer, 3)
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    step(network, optimizer, 4)
    assert all("momentum_buffer" in optimizer.state[parameter] for parameter in network.parameters())


def test_what_the_squares_had_learnt_stays():
    network, optimizer = gone_on(part("RMSprop", 0.0), part("RMSprop", 0.9))
    assert all(optimizer.state[parameter]["step"] == 3 for parameter in network.parameters())


@pytest.mark.parametrize("name", ["RMSprop", "SGD"])
def test_without_the_momentum_that_there_was_a_step_is_a_plain_one(name):
    network, optimizer = gone_on(part(name, 0.9), part(name, 0.0))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    step(network, optimizer, 3)
    rate = optimizer.param_groups[0]["lr"]
    for old, new in zip(before, network.parameters(), strict=True):
        scale = 1.0 if name == "SGD" else 1 / (optimizer.state[new]["square_avg"].sqrt() + 1e-8)
        torch.testing.assert_close(new.detach(), old - rate * new.grad * scale)


def test_a_new_parameter_still_starts_without_any():
    network, optimizer = network_and_optimizer(part("RMSprop", 0.0))
    step(network, optimizer, 0)
    state = collect_state(network, network, optimizer)
    del state["optimizer.square_avg.dense1.bias"]
    again, its_optimizer = network_and_optimizer(part("RMSprop", 0.9))
    restore_optimizer(state, again, its_optimizer)
    assert not its_optimizer.state[dict(again.named_parameters())["dense1.bias"]]
    step(again, its_optimizer, 1)
