import errno
import os

import numpy as np
import pytest
import torch
from random_networks import random_network
from tiny_study import NUMERICS, make_data, quiet, tiny_architecture, tiny_recipe

from modules.architecture.module import build_module
from modules.architecture.residual import residual_architecture
from modules.architecture.separable import separable_architecture
from modules.errors import ConfigError, HomeError
from modules.parts import revisions_of
from modules.pretrained.efficientnet_lite import EfficientNetLite
from modules.records import Part
from modules.store import Store
from modules.training.frozen import frozen_nodes
from modules.training.optimizer import RATE_FACTOR, build_optimizer
from modules.training.softmax_regression import fit_heads
from modules.training.spec import Slice, Start, TrialSpec
from modules.training.states import read_state
from modules.training.training import Training
from modules.training.trial import run_trial


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def spec(home):
    whole = TrialSpec(
        recipe=tiny_recipe(),
        slice=Slice(samples=160, evaluate_every=160),
        seed=0,
        data=make_data(home),
        numerics=NUMERICS,
    )
    trained = run_trial(whole, home, quiet)
    start = Start(kind="trials", key=trained.key, state_sha256=trained.state_sha256)
    recipe = tiny_recipe(frozen_until="pool1", augmentation=())
    return whole.updated(recipe=recipe, start=start)


def frozen_tensors(state):
    return {name: value for name, value in state.items() if name.startswith("ema.") and "dense1" not in name}


@pytest.mark.parametrize("recipe", [{}, {"augmentation": tiny_recipe().augmentation}, {"mixed": True}])
def test_frozen_nodes_stay_as_they_are(home, spec, recipe):
    if recipe.pop("mixed", False):
        recipe["mixing"] = Part(target="modules.augmentation.mixing.mixup.Mixup")
    spec = spec.updated(recipe=spec.recipe.updated(**recipe))
    before = frozen_tensors(read_state(Store(home / "store").folder("trials", spec.start.key) / "state.safetensors"))
    result = run_trial(spec, home, quiet)
    state = read_state(Store(home / "store").folder("trials", result.key) / "state.safetensors")
    for name, value in frozen_tensors(state).items():
        assert torch.equal(value, before[name])
        assert torch.equal(value, state[name.replace("ema.", "model.")])
    assert not torch.equal(state["ema.dense1.weight"], before.get("ema.dense1.weight", torch.zeros(3, 6)))


def test_kept_features_are_what_the_frozen_nodes_give(home, spec):
    training = Training(spec, home, Store(home / "store"), quiet)
    images, _ = next(iter(training.data.upcoming(5)))
    indices, _ = training.data.stream.piece(0, 5)
    from modules.data.arrays import open_arrays
    from modules.evaluation.observing import as_batch

    seen = as_batch(open_arrays(home, spec.data).images[indices])
    with torch.no_grad():
        expected = training.network.eval().until("pool1", seen)
    torch.testing.assert_close(images, expected, atol=2e-3, rtol=2e-3)


STATISTICS = ((0.5, 0.4, 0.3), (0.2, 0.2, 0.3))


@pytest.mark.parametrize(
    "architecture",
    [
        residual_architecture((3, 24, 24), 5, 1000, *STATISTICS),
        separable_architecture((3, 24, 24), 5, 1000, *STATISTICS),
        EfficientNetLite(width=0.25, depth=0.3).architecture((3, 24, 24), 5, 32),
    ],
    ids=["residual", "separable", "efficientnet"],
)
def test_features_are_those_of_the_network_in_evaluation_mode(architecture):
    network = build_module(architecture)
    images = torch.rand(4, 3, 24, 24)
    network(images)  # moves the averages of its normalisations
    cut = architecture.nodes[-1].inputs[0]
    with torch.no_grad():
        expected = network.eval().until(cut, images)
    features = frozen_nodes(network, cut, NUMERICS)(images)
    assert features.dtype == np.float16
    torch.testing.assert_close(torch.from_numpy(features).float(), expected, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("cut", ["conv1", "norm1", "act1"])
def test_features_of_a_cut_are_not_normalised_by_what_comes_behind_it(cut):
    network, images = random_network(tiny_architecture()), torch.rand(4, 1, 8, 8)
    with torch.no_grad():
        expected = network.until(cut, images)
    features = torch.from_numpy(frozen_nodes(network, cut, NUMERICS)(images)).float()
    torch.testing.assert_close(features, expected, atol=2e-3, rtol=2e-3)


def test_a_disk_that_features_do_not_fit_on_is_said(home, spec, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    recipe = spec.recipe.updated(frozen_until="act1")
    with pytest.raises(HomeError, match="there is no space left"):
        Training(spec.updated(recipe=recipe), home, Store(home / "store"), quiet)


def test_what_writes_the_graph_is_in_the_key_of_features():
    assert "modules.architecture.onnx_graph" in revisions_of("modules.training.features")


def test_it_ends_as_a_training_that_keeps_no_features(home, spec, monkeypatch):
    kept = run_trial(spec.updated(seed=5), home, quiet)
    monkeypatch.setattr("modules.training.training.can_be_kept", lambda recipe: False)
    monkeypatch.setattr("modules.training.training.REVISION", 99)
    training = Training(spec.updated(seed=5), home, Store(home / "store"), quiet)
    training.fit()
    assert training.history.curve[-1].steer_loss == pytest.approx(kept.steer_loss, rel=0.02)


def test_copies_are_looked_through_as_well(home, spec):
    recipe = spec.recipe.updated(augmentation=tiny_recipe().augmentation, augmentation_copies=2)
    training = Training(spec.updated(recipe=recipe), home, Store(home / "store"), quiet)
    assert len(training.data.stream.indices) == 3 * 60
    assert training.data.arrays.images.dtype == np.float16


def test_nothing_untrained_is_frozen(home, spec):
    with pytest.raises(ConfigError, match="nothing has trained"):
        Training(spec.updated(start=None), home, Store(home / "store"), quiet)


def test_only_cuts_can_be_frozen_up_to():
    with pytest.raises(ValueError, match="allowed are"):
        tiny_recipe(frozen_until="nowhere")


def test_rates_rise_with_depth_by_equal_ratios():
    network = torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(8)))
    groups = build_optimizer(tiny_recipe().optimizer, network, 0.01).param_groups
    factors = sorted({group.get(RATE_FACTOR, 1.0) for group in groups})
    assert factors == pytest.approx([0.01 ** (1 - place / 7) for place in range(8)])


def test_a_head_is_softmax_regressions_optimum():
    from sklearn.linear_model import LogisticRegression

    generator = torch.Generator().manual_seed(0)
    features = torch.randn(300, 6, generator=generator) * torch.arange(1, 7) + 2
    labels = (features[:, 0] + features[:, 1] / 2 + torch.randn(300, generator=generator) > 3).long()
    (_, head) = fit_heads(features, labels, 2, (1.0, 0.01))
    scaled = (features - features.mean(0)) / features.std(0, unbiased=False)
    # two logits share what one has there: each gets half of the weights, and half of the penalty's effect
    reference = LogisticRegression(C=1 / (300 * 0.005), tol=1e-8, max_iter=1000).fit(scaled.numpy(), labels.numpy())
    expected = torch.from_numpy(reference.predict_proba(scaled.numpy())).float()
    torch.testing.assert_close(head.logits(features).softmax(1), expected, atol=2e-3, rtol=0)


def test_classes_count_as_they_are_weighed():
    from sklearn.linear_model import LogisticRegression

    generator = torch.Generator().manual_seed(0)
    features = torch.randn(300, 6, generator=generator)
    labels = (features[:, 0] + torch.randn(300, generator=generator) > 1.5).long()
    (head,) = fit_heads(features, labels, 2, (0.01,), torch.tensor([1.0, 8.0]))
    scaled = (features - features.mean(0)) / features.std(0, unbiased=False)
    whole = float((1 + 7 * labels).sum())
    reference = LogisticRegression(C=1 / (whole * 0.005), tol=1e-8, max_iter=1000, class_weight={0: 1.0, 1: 8.0})
    expected = torch.from_numpy(reference.fit(scaled.numpy(), labels.numpy()).predict_proba(scaled.numpy())).float()
    torch.testing.assert_close(head.logits(features).softmax(1), expected, atol=2e-3, rtol=0)
