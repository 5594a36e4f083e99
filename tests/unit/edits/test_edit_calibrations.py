"""Images on their way through a network, as calibrations ask for them, and what those make of them."""

import pytest
import torch
from hypothesis import given, settings
from random_networks import architectures, random_images, random_network

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import Conv, Dense, GlobalPool, Norm
from modules.architecture.start import first_architecture
from modules.edits.calibration import Passage, measured_changes
from modules.edits.edit import FollowNorm, KeepMean, KeepSpread, NeutralNorm
from modules.edits.editing import calibrated
from modules.edits.narrow_layer import NarrowLayer


@settings(max_examples=15)
@given(architectures())
def test_each_node_gives_what_it_gives_in_the_whole_network(architecture):
    network, images = random_network(architecture).eval(), random_images(architecture, 4)
    with torch.no_grad():
        whole = network.outputs(images)
    passage = Passage(network, images)
    names = [node.name for node in architecture.nodes]
    for name in [*names, *reversed(names)]:  # in their order, and in any other
        assert torch.equal(passage.output(name), whole[name])


@settings(max_examples=15)
@given(architectures())
def test_what_was_changed_is_computed_again(architecture):
    network, images = random_network(architecture).eval(), random_images(architecture, 4)
    passage = Passage(network, images)
    last = architecture.nodes[-1]
    passage.output(last.name)
    with torch.no_grad():
        network.get_parameter(f"{last.name}.weight").mul_(2.0)
        passage.repeat(last.name)
        assert torch.equal(passage.output(last.name), network.outputs(images)[last.name])


PLAIN = Architecture(
    image_shape=(2, 5, 5),
    num_classes=3,
    nodes=(
        Conv(name="conv1", inputs=(IMAGE,), channels=3, kernel=3, bias=False),
        Norm(name="norm1", inputs=("conv1",)),
        GlobalPool(name="pool1", inputs=("norm1",), kind="max"),
        Dense(name="dense1", inputs=("pool1",), units=3),
    ),
)


def followed(before, after):
    """The images, and the statistics of `norm1` after an edit that made one network of another."""
    images = random_images(PLAIN, 16)
    (mean, variance) = measured_changes(FollowNorm("norm1"), Passage(before, images), Passage(after, images))
    return images, torch.tensor(mean.values), torch.tensor(variance.values)


def scaled(factors):
    """The network with the filters before `norm1` multiplied by factors."""
    network = random_network(PLAIN).eval()
    with torch.no_grad():
        network.get_parameter("conv1.weight").mul_(torch.tensor(factors)[:, None, None, None])
    return network


def test_statistics_of_other_data_follow_what_an_edit_changes():
    network = random_network(PLAIN).eval()
    factors = torch.tensor([2.0, 0.5, 1.0])
    images, mean, variance = followed(network, scaled(factors.tolist()))
    norm = network.get_submodule("norm1")
    torch.testing.assert_close(mean, norm.running_mean * factors, rtol=1e-4, atol=1e-5)
    added = (norm.running_var + norm.eps) * factors**2 - norm.eps  # so that it gives what it gave
    torch.testing.assert_close(variance, added, rtol=1e-4, atol=1e-7)
    assert not torch.allclose(mean, network.outputs(images)["conv1"].mean((0, 2, 3)), rtol=0.01)  # of these images


@pytest.mark.parametrize(
    "calibration", [FollowNorm("norm1"), NeutralNorm("norm1"), KeepMean("conv2"), KeepSpread("norm1")]
)
def test_a_few_channels_at_once_come_to_what_all_do(monkeypatch, calibration):
    start = first_architecture((1, 8, 8), 10, 50_000, (0.2,), (0.3,))
    network, images = random_network(start).eval(), random_images(start, 16)
    after = random_network(start, seed=1).eval()

    def measured():
        return measured_changes(calibration, Passage(network, images), Passage(after, images))

    together = measured()
    monkeypatch.setattr("modules.edits.calibration._MOST_VALUES", 16 * 64 * 3)  # 3 of the channels of 8 x 8
    for few, all_of_them in zip(measured(), together, strict=True):
        assert few.tensor == all_of_them.tensor
        torch.testing.assert_close(torch.tensor(few.values), torch.tensor(all_of_them.values))


def test_statistics_stay_where_nothing_changes_also_of_silent_channels():
    network = scaled([1.0, 0.0, 1e-9])
    _, mean, variance = followed(network, scaled([1.0, 0.0, 1e-9]))
    torch.testing.assert_close(mean, network.get_buffer("norm1.running_mean"))
    torch.testing.assert_close(variance, network.get_buffer("norm1.running_var"))


def test_of_a_channel_that_was_silent_the_data_alone_says_something():
    after = scaled([1.0, 1.0, 1.0])
    images, mean, variance = followed(scaled([1.0, 0.0, 1.0]), after)
    values = after.outputs(images)["conv1"][:, 1].detach()
    assert float(mean[1]) == pytest.approx(float(values.mean()), rel=1e-4)
    assert float(variance[1]) == pytest.approx(float(values.var(correction=0)), rel=1e-4)


def test_channels_that_went_are_not_compared_with():
    network, images = random_network(PLAIN).eval(), random_images(PLAIN, 16)
    outcome = NarrowLayer("conv1", 0.67).apply(PLAIN, {name: x.numpy() for name, x in network.state_dict().items()})
    (calibration,) = (each for each in outcome.calibrations if isinstance(each, FollowNorm))
    weights = {name: x.numpy() for name, x in network.state_dict().items()}
    narrow, _ = calibrated(outcome, network, weights, 0, images)
    kept = list(calibration.channels)
    assert len(kept) == 2
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(
            narrow.get_buffer(f"norm1.{name}"), network.get_buffer(f"norm1.{name}")[kept], rtol=1e-4, atol=1e-5
        )
