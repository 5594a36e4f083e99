from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_study import tiny_architecture

from modules.architecture.module import build_module
from modules.records import Part
from modules.training.callbacks.weight_average import WeightAverage
from modules.training.module import TrialModule

BATCHES = (8, 8, 8, 5, 8)


def trained_by_chance(half_life: int, first_sample: int, batches=BATCHES):
    """A network whose weights are drawn anew at each update; what was drawn, and the average at the end."""
    network = build_module(tiny_architecture())
    average = WeightAverage(network, half_life)
    module = TrialModule(network, Part(target="torch.optim.SGD"), 0.0, 0, first_sample, 1000)
    generator = torch.Generator().manual_seed(1)
    history = [flat(network)]
    for size in batches:
        with torch.no_grad():
            for tensor in network.state_dict().values():
                tensor.copy_(torch.rand(tensor.shape, generator=generator))
        history.append(flat(network))
        batch = (torch.zeros(size, 1, 8, 8), torch.zeros(size, dtype=torch.int64))
        average.on_train_batch_end(SimpleNamespace(), module, None, batch, 0)
        module.on_train_batch_end(None, batch, 0)
    return history, flat(average.network)


def flat(network) -> np.ndarray:
    return np.concatenate([tensor.numpy().ravel().astype(np.float64) for tensor in network.state_dict().values()])


def slow_average(history, half_life, first_sample, batches=BATCHES) -> np.ndarray:
    """Each update's weights count by half as much as those that came a half-life of samples later."""
    average, seen = history[0], first_sample
    for weights, size in zip(history[1:], batches, strict=True):
        seen += size
        current = max(size, min(half_life, seen / 8))
        keep = 0.5 ** (size / current)
        average = keep * average + (1 - keep) * weights
    return average


@pytest.mark.parametrize("half_life", [1, 8, 20, 1000])
@pytest.mark.parametrize("first_sample", [0, 100, 10_000])
def test_the_average_is_that_of_the_slow_version(half_life, first_sample):
    history, average = trained_by_chance(half_life, first_sample)
    np.testing.assert_allclose(average, slow_average(history, half_life, first_sample), rtol=1e-5)


@given(st.integers(2, 50), st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_a_half_life_halves(half_life, sizes):
    """Long after the start, whatever the batches, as many samples as the half-life leave one half of what was."""
    sizes = tuple(min(size, half_life) for size in sizes)
    history, average = trained_by_chance(half_life, 10**9, sizes)
    history = [history[0], *[np.zeros_like(history[0])] * len(sizes)]
    left = slow_average(history, half_life, 10**9, sizes)
    np.testing.assert_allclose(left, history[0] * 0.5 ** (sum(sizes) / half_life), rtol=1e-9)
    assert np.isfinite(average).all()


def test_without_a_half_life_the_weights_themselves_are_judged():
    history, average = trained_by_chance(0, 0)
    np.testing.assert_array_equal(average, history[-1])


def test_the_average_is_a_network_of_its_own_that_learns_nothing():
    network = build_module(tiny_architecture())
    average = WeightAverage(network, 10).network
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    ours = {tensor.data_ptr() for tensor in average.state_dict().values()}
    assert ours.isdisjoint(tensor.data_ptr() for tensor in network.state_dict().values())
