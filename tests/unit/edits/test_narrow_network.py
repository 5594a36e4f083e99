"""All layers narrower at once."""

import numpy as np
import pytest
import torch
from applying import applied, network_of
from random_networks import random_images, random_network, random_weights

from modules.architecture.channels import resizable_groups
from modules.architecture.classic import classic_architecture
from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import Conv, Dense, GlobalPool
from modules.architecture.start import first_architecture
from modules.edits.effects import first_order_effects
from modules.edits.narrow_layer import most_important, worth_to_loss
from modules.edits.narrow_network import NarrowNetwork
from modules.pretrained.efficientnet_lite import EfficientNetLite

START = first_architecture((1, 8, 8), 10, 50_000, (0.2,), (0.3,))
CLASSIC = classic_architecture((1, 16, 16), 10, 1000, (0.2,), (0.3,))
LITE = EfficientNetLite(1.0, 1.0).architecture((3, 32, 32), 10, 32)


def test_each_layer_keeps_what_the_loss_depends_on_most():
    outcome = applied(NarrowNetwork, CLASSIC, labels=True, saving="params", share=0.5)
    weights, images = random_weights(CLASSIC), random_images(CLASSIC, 16)
    effects = first_order_effects(random_network(CLASSIC), images, torch.arange(16) % 10)
    narrow = outcome.recipe.architecture
    sizes = [narrow.node("conv1").channels, narrow.node("conv2").channels, narrow.node("dense1").units]
    first, second, third = (
        most_important(group, size, worth_to_loss(group, effects))
        for group, size in zip(resizable_groups(CLASSIC), sizes, strict=True)
    )
    np.testing.assert_array_equal(outcome.state["ema.conv2.weight"], weights["conv2.weight"][second][:, first])
    pixels = (second[:, None] * 4 + np.arange(4)).ravel()  # of two by two planes, flattened
    np.testing.assert_array_equal(outcome.state["ema.dense1.weight"], weights["dense1.weight"][third][:, pixels])
    narrowed = sum(size < group.size for size, group in zip(sizes, resizable_groups(CLASSIC), strict=True))
    assert outcome.description.startswith(f"narrow {narrowed} group{'s' if narrowed > 1 else ''} of channels, which ")
    assert 0.48 * CLASSIC.params < narrow.params <= 0.5 * CLASSIC.params


@pytest.mark.parametrize("saving", ["params", "flops"])
@pytest.mark.parametrize("share", [0.75, 0.5])
def test_residual_and_depthwise_groups_of_a_pretrained_network_stay_together(saving, share):
    assert {"saving": saving, "share": share} in NarrowNetwork.sites(LITE)
    after = NarrowNetwork(saving, share).apply(LITE, random_weights(LITE)).architecture
    cost = {"params": lambda each: each.params, "flops": lambda each: each.product_flops}[saving]
    assert share - 0.01 < cost(after) / cost(LITE) <= share
    assert [node.name for node in after.nodes] == [node.name for node in LITE.nodes]
    for group in resizable_groups(after):
        assert group.size % 4 == 0 or group.size < 8


@pytest.mark.parametrize(("saving", "share"), [("params", 0.6137), ("flops", 0.82)])
def test_it_goes_as_far_as_it_is_asked(saving, share):
    (site,) = NarrowNetwork.sites_leaving(LITE, {saving: share})
    after = NarrowNetwork(**site).apply(LITE, random_weights(LITE)).architecture
    left = getattr(after, saving) / getattr(LITE, saving)
    assert share - 0.03 < left <= share


@pytest.mark.parametrize("share", [0.75, 0.5, 0.3, 0.99999])
def test_but_no_further_than_usual_and_not_twice(share):
    sites = NarrowNetwork.sites_leaving(LITE, {"params": share})
    assert sites == (({"saving": "params", "share": 0.9999},) if share > 0.9 else ())


def test_without_normalisation_the_means_of_what_is_left_stay():
    outcome = applied(NarrowNetwork, CLASSIC, labels=True, saving="flops", share=0.6)
    images = random_images(CLASSIC, 16)
    with torch.no_grad():
        before, after = random_network(CLASSIC).outputs(images), network_of(outcome).outputs(images)
    effects = first_order_effects(random_network(CLASSIC), images, torch.arange(16) % 10)
    group = resizable_groups(CLASSIC)[1]
    kept = most_important(group, len(after["conv2"][0]), worth_to_loss(group, effects))
    means = (before["conv2"].mean((0, 2, 3))[kept], after["conv2"].mean((0, 2, 3)))
    torch.testing.assert_close(means[1], means[0], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(after["dense2"].mean(0), before["dense2"].mean(0), rtol=1e-3, atol=1e-4)


def test_there_has_to_be_something_to_narrow():
    nodes = (
        Conv(name="conv1", inputs=(IMAGE,), channels=1, kernel=3),
        GlobalPool(name="pool1", inputs=("conv1",), kind="max"),
        Dense(name="dense1", inputs=("pool1",), units=3),
    )
    thin = Architecture(image_shape=(1, 6, 6), num_classes=3, nodes=nodes)
    assert NarrowNetwork.sites(thin) == ()
    with pytest.raises(ValueError, match="50% of its params cannot be all that is left; at least 100% stay"):
        NarrowNetwork("params", 0.5).apply(thin, random_weights(thin))
    with pytest.raises(ValueError, match="saving must be one of params, flops, got 'watts'"):
        NarrowNetwork("watts", 0.5).apply(START, random_weights(START))
    with pytest.raises(ValueError, match="between 0 and 1"):
        NarrowNetwork("params", 1.0).apply(START, random_weights(START))
