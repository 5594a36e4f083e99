from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from random_networks import random_images
from tiny_study import tiny_architecture

from modules.architecture.module import build_module
from modules.training.averages.ema import Ema
from modules.training.averages.none import NoAverage
from modules.training.averages.swa import Swa
from modules.training.batches import Batch
from modules.training.callbacks.weight_average import WeightAverage
from modules.training.history import History
from modules.training.statistics import refresh_statistics

SIZES = (8, 8, 8, 5, 8)


class OnlyImages:
    """Stands for the training's data: the images that come next, in pieces."""

    def __init__(self):
        self.images = random_images(tiny_architecture(), 4096)
        self.most_at_once = None

    def upcoming(self, count, skip=0):
        indices = np.arange(skip, skip + count)
        return Batch(self, count, indices, np.zeros(count, dtype=np.uint64))

    def piece(self, indices, epochs):
        return self.images[indices], torch.zeros(len(indices), dtype=torch.int64)


class Half:
    """Halfway towards the weights, each time."""

    refreshes_statistics: ClassVar[bool] = False

    def __init__(self):
        self.asked = []

    def weight(self, num_samples, seen, progress):
        self.asked.append((num_samples, seen, progress.samples, progress.updates))
        return 0.5


def trained_by_chance(averaging, first_sample=0):
    """The callback after some updates that drew the weights anew, and the weights after each."""
    network = build_module(tiny_architecture())
    history = History(total_samples=sum(SIZES), epoch_samples=10)
    data = OnlyImages()
    average = WeightAverage(network, averaging, data, history, first_sample)
    average.on_train_start(SimpleNamespace(), SimpleNamespace(device=torch.device("cpu")))
    generator = torch.Generator().manual_seed(1)
    course = [flat(network)]
    for size in SIZES:
        with torch.no_grad():
            for tensor in network.state_dict().values():
                tensor.copy_(torch.rand(tensor.shape, generator=generator))
        course.append(flat(network))
        history.count(size, 1.0)
        average.on_train_batch_end(SimpleNamespace(), SimpleNamespace(), None, data.upcoming(size), 0)
    return average, course


def flat(network, but="nothing"):
    tensors = [tensor for name, tensor in network.state_dict().items() if but not in name]
    return np.concatenate([tensor.numpy().ravel().astype(np.float64) for tensor in tensors])


def test_weights_and_statistics_move_as_far_as_they_are_told():
    average, course = trained_by_chance(Half())
    expected = course[0]
    for weights in course[1:]:
        expected = (expected + weights) / 2
    np.testing.assert_allclose(flat(average.network), expected, rtol=1e-6)


def test_an_average_is_told_the_batch_the_stream_and_the_progress():
    averaging = Half()
    trained_by_chance(averaging, first_sample=100)
    seen = np.cumsum(SIZES).tolist()
    assert averaging.asked == [
        (size, 100 + end, end, at + 1) for at, (size, end) in enumerate(zip(SIZES, seen, strict=True))
    ]


def test_without_an_average_the_weights_themselves_are_judged():
    average, course = trained_by_chance(NoAverage())
    average.prepare(SimpleNamespace())
    np.testing.assert_array_equal(flat(average.network), course[-1])


def test_an_average_of_its_own_numbers_is_left_alone_before_a_look():
    average, _ = trained_by_chance(Ema(20.0))
    before = flat(average.network)
    average.prepare(SimpleNamespace())
    np.testing.assert_array_equal(flat(average.network), before)


def test_statistics_are_measured_anew_where_the_average_asks_for_it():
    average, _ = trained_by_chance(Swa(0.0))
    before = average.network.state_dict()["norm1.running_mean"].clone()
    average.prepare(SimpleNamespace())
    expected = build_module(tiny_architecture())
    expected.load_state_dict(average.network.state_dict())
    refresh_statistics(expected, OnlyImages().images[:2048].split(256))
    np.testing.assert_array_equal(flat(average.network), flat(expected))
    assert not torch.equal(average.network.state_dict()["norm1.running_mean"], before)


@pytest.mark.parametrize(
    ("averaging", "optimizer"),
    [(Swa(0.0), SimpleNamespace()), (NoAverage(), SimpleNamespace(averaged=lambda parameter: parameter * 2))],
    ids=["swa", "schedule_free"],
)
def test_statistics_that_are_kept_stay_before_a_look(averaging, optimizer):
    average, _ = trained_by_chance(averaging)
    average.network.keep_statistics()
    before = average.network.state_dict()["norm1.running_mean"].clone()
    average.prepare(optimizer)
    assert torch.equal(average.network.state_dict()["norm1.running_mean"], before)


def test_the_average_of_an_optimiser_takes_the_place_of_ours():
    average, _ = trained_by_chance(NoAverage())
    before = average.network.state_dict()["norm1.running_mean"].clone()
    average.prepare(SimpleNamespace(averaged=lambda parameter: parameter * 2))
    ours, trained = (flat(network, but="running") for network in (average.network, average._trained))
    np.testing.assert_array_equal(ours, 2 * trained)
    assert not torch.equal(average.network.state_dict()["norm1.running_mean"], before)


def test_the_average_is_a_network_of_its_own_that_learns_nothing():
    average, _ = trained_by_chance(Half())
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
    assert all(parameter.requires_grad for parameter in average._trained.parameters())
    ours = {tensor.data_ptr() for tensor in average.network.state_dict().values()}
    assert ours.isdisjoint(tensor.data_ptr() for tensor in average._trained.state_dict().values())
