import pytest
import torch
from one_step import step
from tiny_study import ADAMW, tiny_architecture

from modules.architecture.module import build_module
from modules.records import Part
from modules.training.optimizer import build_optimizer
from modules.training.progress import BEGINNING, Progress
from modules.training.states import (
    collect_state,
    progress_of,
    progress_tensors,
    read_state,
    restore_optimizer,
    section,
    write_state,
)

SGD = Part(target="torch.optim.SGD", arguments={})
MOMENTUM = Part(target="torch.optim.SGD", arguments={"momentum": 0.9, "nesterov": True})


def network_and_optimizer(part):
    torch.manual_seed(0)
    network = build_module(tiny_architecture(dropout=0.0)).to(memory_format=torch.channels_last)
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5)
    return network, build_optimizer(part, network)


def equal(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("part", [ADAMW, SGD, MOMENTUM], ids=["adamw", "sgd", "momentum"])
def test_the_step_after_a_restart_is_the_step_without_one(part, tmp_path):
    network, optimizer = network_and_optimizer(part)
    for number in range(3):
        step(network, optimizer, number)
    write_state(tmp_path / "state.safetensors", collect_state(network, network, optimizer))
    for number in range(3, 5):
        step(network, optimizer, number)

    state = read_state(tmp_path / "state.safetensors")
    again, its_optimizer = network_and_optimizer(part)
    again.load_state_dict(section(state, "model"))
    restore_optimizer(state, again, its_optimizer)
    for number in range(3, 5):
        step(again, its_optimizer, number)
    assert equal(collect_state(again, again, its_optimizer), collect_state(network, network, optimizer))


def test_a_state_is_contiguous_copies_by_name():
    network, optimizer = network_and_optimizer(ADAMW)
    step(network, optimizer, 0)
    state = collect_state(network, network, optimizer)
    assert {name.partition(".")[0] for name in state} == {"model", "ema", "optimizer"}
    assert {"model.norm1.running_mean", "ema.conv1.weight", "optimizer.exp_avg.conv1.weight"} < state.keys()
    assert all(tensor.is_contiguous() for tensor in state.values())
    assert state["model.conv1.weight"].data_ptr() != state["ema.conv1.weight"].data_ptr()
    assert equal(section(state, "model"), dict(network.state_dict()))


def test_tensors_that_lie_channels_last_can_be_written(tmp_path):
    weight = torch.arange(3.0 * 2 * 4 * 5).reshape(3, 2, 4, 5)
    write_state(tmp_path / "state.safetensors", {"best.weight": weight.to(memory_format=torch.channels_last)})
    assert torch.equal(read_state(tmp_path / "state.safetensors")["best.weight"], weight)


@pytest.mark.parametrize(
    "progress",
    [
        BEGINNING,
        Progress(320, 400, 7, steer_losses=(0.1, 1 / 3), noise_scales=(None, 1e300), fraction_before=0.1),
        Progress(2**40 + 1, 2**40 + 2, 2**33, steer_losses=(0.2,), noise_scales=(None,)),
    ],
)
def test_the_progress_of_a_lineage_is_read_as_it_was_written(progress, tmp_path):
    weights = {"model.weight": torch.zeros(2)}
    write_state(tmp_path / "state.safetensors", {**weights, **progress_tensors(progress)})
    read = read_state(tmp_path / "state.safetensors")
    assert progress_of(read) == progress
    assert section(read, "model").keys() == {"weight"}


def test_a_state_without_progress_is_a_beginning():
    assert progress_of({"model.weight": torch.zeros(2)}) == progress_of({}) == BEGINNING


def test_a_new_parameter_starts_without_moments():
    network, optimizer = network_and_optimizer(ADAMW)
    step(network, optimizer, 0)
    state = collect_state(network, network, optimizer)
    del state["optimizer.exp_avg.dense1.bias"]
    again, its_optimizer = network_and_optimizer(ADAMW)
    restore_optimizer(state, again, its_optimizer)
    by_name = dict(again.named_parameters())
    assert not its_optimizer.state[by_name["dense1.bias"]]
    assert its_optimizer.state[by_name["dense1.weight"]]["step"] == 1
    step(again, its_optimizer, 1)  # and learns like any other


def test_biases_and_normalisation_are_not_decayed():
    network, optimizer = network_and_optimizer(ADAMW)
    decayed, others = optimizer.param_groups
    assert {id(each) for each in decayed["params"]} == {id(network.conv1.weight), id(network.dense1.weight)}
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.01, 0.0)
    assert len(others["params"]) == 3
