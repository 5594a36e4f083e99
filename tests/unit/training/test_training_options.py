"""What a training can be told besides its optimiser: pieces, growth, targets, retreats, mixing, averages."""

import math
from types import SimpleNamespace

import pytest
from tiny_study import NO_AVERAGE, ema, schedule, tiny_architecture, tiny_recipe, tiny_spec

from modules.errors import TrainingError
from modules.evaluation.observing import observe
from modules.records import Part, TrialResult
from modules.store import Store
from modules.training.callbacks import steer_evaluation
from modules.training.callbacks.checkpoints import Checkpoints
from modules.training.callbacks.retreat import has_exploded
from modules.training.history import History
from modules.training.trial import run_trial


def part(group: str, name: str, **arguments) -> Part:
    return Part(target=f"modules.{group}.{name}", arguments=arguments)


def run(spec, home):
    return run_trial(spec, home, lambda progress: None)


def test_pieces_of_a_batch_add_up_to_the_batch(home, data):
    """Without normalisation and dropout, whose results depend on what is in a piece."""
    architecture = tiny_architecture(dropout=0.0)
    kept = [node for node in architecture.nodes if node.op != "norm"]
    bare = architecture.updated(nodes=tuple(_past_norms(kept, architecture)))
    sgd = Part(target="torch.optim.SGD", arguments={"momentum": 0.9})
    spec = tiny_spec(data).updated(recipe=tiny_recipe(architecture=bare, optimizer=sgd))
    whole, pieces = run(spec, home), run(spec.updated(most_at_once=5), home)
    assert whole.key != pieces.key
    assert (whole.samples, whole.updates) == (pieces.samples, pieces.updates)
    for one, other in zip(whole.curve, pieces.curve, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)
        assert one.steer_loss == pytest.approx(other.steer_loss, rel=1e-4)


def _past_norms(kept, architecture):
    norms = {node.name: node.inputs[0] for node in architecture.nodes if node.op == "norm"}
    for node in kept:
        yield node.updated(inputs=tuple(norms.get(name, name) for name in node.inputs))


def test_the_batch_grows_and_the_samples_stay(home, data):
    growth = part("training.batching", "milestones.Milestones", fractions=[0.25, 0.5], factor=2.0, max_batch_size=64)
    spec = tiny_spec(data, 512, evaluate_every=64)
    fixed = run(spec.updated(recipe=tiny_recipe(schedule=schedule("Linear"))), home)
    grown = run(spec.updated(recipe=tiny_recipe(schedule=schedule("Linear"), batching=growth)), home)
    assert [point.batch_size for point in grown.curve] == [16, 16, 32, 32, 60, 60, 60, 60]  # an epoch has 60 images
    assert grown.updates < fixed.updates / 1.8
    for point in grown.curve:
        before = point.samples - (point.batch_size if point is not grown.curve[0] else 16)
        assert point.learning_rate == pytest.approx(0.01 * (1 - before / 512), abs=0.0013)


def test_the_batch_follows_the_noise_of_the_gradient(home, data):
    growth = part("training.batching", "noise_scale.NoiseScale", ratio=100.0, max_batch_size=32)
    result = run(tiny_spec(data, 320, evaluate_every=80).updated(recipe=tiny_recipe(batching=growth)), home)
    assert all(point.noise_scale is None or point.noise_scale > 0 for point in result.curve)
    assert any(point.noise_scale for point in result.curve)
    assert result.curve[-1].batch_size == 32


@pytest.mark.parametrize(
    ("target", "reason"), [({"target_loss": 1.0}, "target loss"), ({"target_error": 0.5}, "target error")]
)
def test_a_target_ends_the_training_at_the_look_that_reaches_it(home, data, target, reason):
    recipe = tiny_recipe(learning_rate=0.03, architecture=tiny_architecture(dropout=0.0), augmentation=())
    result = run(tiny_spec(data, 6400, evaluate_every=160, **target).updated(recipe=recipe), home)
    assert result.stopped_by == reason
    assert result.samples == result.curve[-1].samples < 6400
    reached = [
        point.steer_loss <= target.get("target_loss", 0) or point.steer_error <= target.get("target_error", 0)
        for point in result.curve
    ]
    assert reached == [False] * (len(reached) - 1) + [True]


def test_a_training_that_explodes_goes_back_and_ends_well(home, data):
    sgd = Part(target="torch.optim.SGD", arguments={"momentum": 0.9})
    recipe = tiny_recipe(
        learning_rate=1e4, optimizer=sgd, averaging=NO_AVERAGE, architecture=tiny_architecture(dropout=0.0)
    )
    spec = tiny_spec(data, 640, evaluate_every=160, max_retreats=40).updated(recipe=recipe)
    result = run(spec, home)
    assert result.retreats > 0
    assert result.samples == 640
    assert result.curve[-1].learning_rate == pytest.approx(1e4 * 0.5**result.retreats)
    assert [point.samples for point in result.curve] == [160, 320, 480, 640]
    assert math.isfinite(result.steer_loss)
    assert run(spec, home).state_sha256 == result.state_sha256


def test_a_training_may_not_go_back_for_ever(home, data):
    sgd = Part(target="torch.optim.SGD")
    recipe = tiny_recipe(learning_rate=1e30, optimizer=sgd, averaging=NO_AVERAGE)
    with pytest.raises(TrainingError, match=r"still at 5e\+29 after going back 1 times"):
        run(tiny_spec(data, max_retreats=1).updated(recipe=recipe), home)


@pytest.mark.parametrize(
    ("losses", "exploded"),
    [
        ([1.0, math.nan], True),
        ([1.0, math.inf], True),
        ([99.0] * 19, False),
        ([99.0] * 20, True),
        ([99.0] * 9 + [1.0] * 11, False),
    ],
)
def test_what_counts_as_an_explosion(losses, exploded):
    history = History(total_samples=1, epoch_samples=1)
    for loss in losses:
        history.count(1, loss)
    assert has_exploded(history, 9.2) is exploded


@pytest.mark.parametrize(("losses", "is_kept"), [([1.0], True), ([99.0], False), ([99.0, 1.0], True)])
def test_no_state_is_kept_right_behind_an_explosion(losses, is_kept):
    """The median of twenty losses is low yet."""
    history = History(total_samples=1000, epoch_samples=1)
    checkpoints = Checkpoints(None, "a" * 32, history, 1, 9.2, dict)
    checkpoints.on_train_start(None, None)
    for loss in [1.0] * 20 + losses:
        history.count(1, loss)
    checkpoints.on_train_batch_end(SimpleNamespace(should_stop=False, is_global_zero=False), None, None, None, 0)
    assert checkpoints.latest.history["samples"] == (20 + len(losses) if is_kept else 0)


def seen_as_no_number(monkeypatch, *looks):
    """Have some looks, by their number, find losses that are none."""
    calls = []

    def look(*arguments):
        calls.append(1)
        outputs = observe(*arguments)
        return outputs._replace(losses=outputs.losses * math.nan) if len(calls) - 1 in looks else outputs

    monkeypatch.setattr(steer_evaluation, "observe", look)


@pytest.mark.parametrize("look", [0, 1])
def test_a_look_that_finds_no_number_sends_the_training_back(home, data, monkeypatch, look):
    seen_as_no_number(monkeypatch, look)
    spec = tiny_spec(data)
    result = run(spec, home)
    assert (result.retreats, result.samples) == (1, 160)
    assert [point.samples for point in result.curve] == [80, 160]
    assert [point.learning_rate for point in result.curve] == [0.005 if look == 0 else 0.01, 0.005]
    stored = Store(home / "store").find("trials", spec.key).file("result.json").read_text()
    assert TrialResult.model_validate_json(stored) == result


def test_a_training_whose_looks_never_find_a_number_diverged(home, data, monkeypatch):
    seen_as_no_number(monkeypatch, *range(9))
    with pytest.raises(TrainingError, match=r"the loss became nan .* after going back 2 times"):
        run(tiny_spec(data, max_retreats=2), home)


@pytest.mark.parametrize("name", ["mixup.Mixup", "cutmix.Cutmix"])
def test_mixed_images_are_learnt_from(home, data, name):
    mixing = part("augmentation.mixing", name)
    recipe = tiny_recipe(learning_rate=0.03, architecture=tiny_architecture(dropout=0.0), mixing=mixing)
    result = run(tiny_spec(data, 2400, evaluate_every=600).updated(recipe=recipe), home)
    assert result.curve[-1].steer_loss < 0.8 * result.curve[0].steer_loss


@pytest.mark.parametrize(
    "averaging", [NO_AVERAGE, ema(64.0), part("training.averages", "swa.Swa", start_fraction=0.5)], ids=str
)
def test_averages_are_judged(home, data, averaging):
    recipe = tiny_recipe(learning_rate=0.03, architecture=tiny_architecture(dropout=0.0), averaging=averaging)
    result = run(tiny_spec(data, 3200, evaluate_every=800).updated(recipe=recipe), home)
    assert result.curve[-1].steer_loss < 0.7 * math.log(3)


def test_an_initialisation_that_looks_at_the_data(home, data):
    lsuv = part("architecture.initialisation", "lsuv.Lsuv")
    recipe = tiny_recipe(initialisation=lsuv)
    one, other = (run(tiny_spec(data, seed=seed).updated(recipe=recipe), home) for seed in (0, 1))
    assert one.state_sha256 != other.state_sha256
    assert one.curve[0].train_loss < 2 * math.log(3)
