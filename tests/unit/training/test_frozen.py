import numpy as np
import pytest
import torch
from tiny_study import NUMERICS, make_data, tiny_recipe

from modules.errors import ConfigError
from modules.records import Part
from modules.store import Store
from modules.training.optimizer import RATE_FACTOR, build_optimizer
from modules.training.softmax_regression import fit_heads
from modules.training.spec import Slice, Start, TrialSpec
from modules.training.states import read_state
from modules.training.trial import Training, run_trial


def quiet(progress):
    pass


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


def test_it_ends_as_a_training_that_keeps_no_features(home, spec, monkeypatch):
    kept = run_trial(spec.updated(seed=5), home, quiet)
    monkeypatch.setattr("modules.training.trial.can_be_kept", lambda recipe: False)
    monkeypatch.setattr("modules.training.trial.REVISION", 99)
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
