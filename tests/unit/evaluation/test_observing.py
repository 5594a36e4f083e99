import numpy as np
import pytest
import torch
from hypothesis import given, settings
from random_networks import architectures, random_network
from tiny_study import tiny_architecture

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import Conv, Dense, GlobalPool
from modules.evaluation.observing import as_batch, batch_size_for, batches_of, observe


def pictures(architecture, number, seed=0):
    channels, height, width = architecture.image_shape
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (number, height, width, channels), dtype=np.uint8)
    return images, random.integers(0, architecture.num_classes, number)


@given(architectures())
@settings(max_examples=25)
def test_what_is_observed_is_what_plain_torch_says(architecture):
    network = random_network(architecture)
    images, labels = pictures(architecture, 9)
    indices = np.array([8, 1, 3, 3])
    seen = observe(network, images, labels, indices)
    with torch.no_grad():
        logits = network(torch.from_numpy(images[indices].transpose(0, 3, 1, 2).astype(np.float32) / 255))
    expected = logits.softmax(1).numpy()
    np.testing.assert_allclose(seen.probabilities, expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(seen.probabilities.sum(axis=1), 1, rtol=1e-5)
    losses = [-logits.log_softmax(1)[row, labels[index]].item() for row, index in enumerate(indices)]
    np.testing.assert_allclose(seen.losses, losses, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(seen.labels, labels[indices])
    assert (seen.losses.dtype, seen.probabilities.dtype, seen.labels.dtype) == (np.float32, np.float32, np.int64)


@given(architectures())
@settings(max_examples=10)
def test_an_image_is_judged_alike_in_any_company(architecture):
    network = random_network(architecture)
    images, labels = pictures(architecture, 7)
    together = observe(network, images, labels, np.arange(7))
    alone = [observe(network, images, labels, np.array([index])).losses[0] for index in range(7)]
    np.testing.assert_allclose(together.losses, alone, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_observing_leaves_a_network_as_it_was(training):
    network = torch.nn.Sequential(
        torch.nn.BatchNorm2d(1), torch.nn.Flatten(), torch.nn.Dropout(0.9), torch.nn.Linear(4, 2)
    )
    network.train(training)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images, labels = np.full((3, 2, 2, 1), 200, np.uint8), np.array([0, 1, 0])
    first, second = (observe(network, images, labels, np.arange(3)) for _ in range(2))
    np.testing.assert_array_equal(first.losses, second.losses)  # nothing is dropped
    assert network.training is training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    network(as_batch(images)).sum().backward()  # and it can be trained on


def test_a_network_is_looked_at_where_it_is(monkeypatch):
    """`meta` stands for an accelerator: what is there can be computed with, and only `cpu` brings it back."""
    network = random_network(tiny_architecture()).to("meta")
    devices = []
    network.register_forward_pre_hook(lambda module, inputs: devices.append(inputs[0].device.type))
    monkeypatch.setattr(torch.Tensor, "cpu", lambda values: torch.ones(values.shape, dtype=values.dtype))
    seen = observe(network, *pictures(tiny_architecture(), 3), np.arange(3))
    assert devices == ["meta"]
    assert seen.losses.tolist() == [1.0, 1.0, 1.0]
    assert seen.probabilities.shape == (3, 3)


def classifier(side):
    nodes = (
        Conv(name="conv1", inputs=(IMAGE,), channels=64, kernel=3, padding=1),
        GlobalPool(name="pool1", inputs=("conv1",)),
        Dense(name="dense1", inputs=("pool1",), units=2),
    )
    return random_network(Architecture(image_shape=(3, side, side), num_classes=2, nodes=nodes))


def test_of_large_planes_fewer_are_looked_at_together():
    assert batch_size_for(classifier(28)) == 500
    assert 32 < batch_size_for(classifier(64)) < 500
    assert batch_size_for(classifier(500)) == 32
    assert batch_size_for(torch.nn.Sequential(torch.nn.Flatten(), classifier(500))) == 32  # also inside another module
    assert batch_size_for(torch.nn.Flatten()) == 500


def test_batches_are_as_large_as_fits(monkeypatch):
    monkeypatch.setattr("modules.evaluation.observing._MOST_VALUES", 0)
    network, sizes = random_network(tiny_architecture()), []
    network.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    observe(network, *pictures(tiny_architecture(), 70), np.arange(70))
    assert sizes == [32, 32, 6]


def test_a_batch_is_scaled_and_stays_channels_last():
    images = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    batch = as_batch(images)
    assert batch.shape == (2, 3, 3, 4)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(batch.numpy(), images.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))
    assert images[0, 0, 1, 0] == 3  # what was given is not scaled in place


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (3, [3]), (4, [4]), (9, [4, 4, 1])])
def test_batches_are_consecutive_pieces(count, sizes):
    pieces = list(batches_of(np.arange(count), 4))
    assert [len(piece) for piece in pieces] == sizes
    assert [index for piece in pieces for index in piece] == list(range(count))
