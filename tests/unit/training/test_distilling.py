"""A student that learns from a trained network."""

import pytest
import torch
from tiny_study import make_data, quiet, schedule, tiny_architecture, tiny_recipe, tiny_spec
from torch.nn import functional as F

from modules.augmentation.policy import build_policy
from modules.data.arrays import open_arrays
from modules.errors import StudyError
from modules.recipe import Distillation
from modules.records import Part
from modules.store import Store
from modules.training.batches import TrainingData
from modules.training.spec import Start
from modules.training.states import read_state, section
from modules.training.training import Training, guessing_loss, network_of
from modules.training.trial import begin_trial, run_trial

TEMPERATURE, WEIGHT = 3.0, 0.6
RECIPE = tiny_recipe(
    architecture=tiny_architecture(dropout=0.0), optimizer=Part(target="torch.optim.SGD"), learning_rate=0.1
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def data(home):
    return make_data(home)


@pytest.fixture(scope="module")
def teacher(home, data):
    recipe = tiny_recipe(architecture=tiny_architecture(dropout=0.3), learning_rate=0.03)  # which asking leaves out
    return run_trial(tiny_spec(data, 480, evaluate_every=480).updated(recipe=recipe), home, quiet)


def learning_from(trial):
    return Distillation(teacher=trial.key, weights_sha256=trial.weights_sha256, weight=WEIGHT, temperature=TEMPERATURE)


def student(data, teacher, samples=160, **changes):
    recipe = RECIPE.updated(distillation=learning_from(teacher), **changes)
    return tiny_spec(data, samples).updated(recipe=recipe)


def state_of(result, home):
    return read_state(Store(home / "store").folder("trials", result.key) / "state.safetensors")


def test_it_is_what_a_plain_loop_does(home, data, teacher):
    spec = student(data, teacher)
    result = run_trial(spec, home, quiet)
    arrays, recipe = open_arrays(home, data), spec.recipe
    policy = build_policy(recipe.augmentation)
    source = TrainingData(arrays, arrays.indices("train"), policy, mixing=None, seed=0, batch_size=16, first_sample=0)
    network = network_of(spec, None, "model").train()
    taught = network_of(spec.updated(recipe=recipe), state_of(teacher, home), "ema").eval()
    losses = []
    for _ in range(10):
        ((images, labels),) = source.next_batch()
        logits = network(images)
        with torch.no_grad():
            expected = F.softmax(taught(images) / TEMPERATURE, 1)
        divergence = (expected * (expected.log() - F.log_softmax(logits / TEMPERATURE, 1))).sum(1).mean()
        loss = 0.4 * F.cross_entropy(logits, labels, label_smoothing=0.05) + 0.6 * 9 * divergence
        network.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter -= 0.1 * parameter.grad
        losses.append(loss.item())
    for name, tensor in section(state_of(result, home), "model").items():
        torch.testing.assert_close(tensor, network.state_dict()[name], rtol=1e-4, atol=1e-6)
    assert result.curve[0].train_loss == pytest.approx(sum(losses[:5]) / 5, rel=1e-4)


def test_a_teacher_stays_as_it_is(home, data, teacher):
    training = Training(student(data, teacher), home, Store(home / "store"), quiet)
    before = {name: tensor.clone() for name, tensor in training.module.teacher.state_dict().items()}
    training.fit()
    assert all(torch.equal(tensor, before[name]) for name, tensor in training.module.teacher.state_dict().items())
    assert not any(module.training for module in training.module.teacher.network.children())
    assert not any(name.startswith("teacher") for name in training.state())


def test_a_student_that_paused_ends_with_the_same_bits(tmp_path, home, data, teacher):
    whole = run_trial(student(data, teacher), home, quiet)
    other = tmp_path / "other"
    other_data = make_data(other)
    recipe = tiny_recipe(architecture=tiny_architecture(dropout=0.3), learning_rate=0.03)
    again = run_trial(tiny_spec(other_data, 480, evaluate_every=480).updated(recipe=recipe), other, quiet)
    assert (again.key, again.weights_sha256) == (teacher.key, teacher.weights_sha256)
    spec = student(other_data, again)
    begin_trial(spec.model_dump(mode="json"), str(other), report=quiet)
    rest = run_trial(spec, other, quiet)
    assert (rest.key, rest.state_sha256) == (whole.key, whole.state_sha256)


def test_a_frozen_head_learns_from_a_teacher_that_sees_the_images(home, data, teacher):
    start = Start(kind="trials", key=teacher.key, state_sha256=teacher.state_sha256)
    frozen = {"frozen_until": "pool1", "augmentation": ()}
    result = run_trial(student(data, teacher, **frozen).updated(start=start), home, quiet)
    assert torch.equal(state_of(result, home)["ema.conv1.weight"], state_of(teacher, home)["ema.conv1.weight"])
    assert not torch.equal(state_of(result, home)["ema.dense1.weight"], state_of(teacher, home)["ema.dense1.weight"])


def test_a_student_narrower_than_its_teacher_learns(home, data, teacher):
    narrow = tiny_architecture(dropout=0.0).with_changed({"conv1": {"channels": 4}})
    spec = student(data, teacher, 800, architecture=narrow, schedule=schedule("Linear"))
    losses = [point.train_loss for point in run_trial(spec, home, quiet).curve]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teacher": "0" * 32}, "is not in the store"),
        ({"weights_sha256": "0" * 64}, "expected is 0000000000000000"),
    ],
)
def test_another_teacher_is_refused_in_a_sentence(home, data, teacher, changes, said):
    spec = student(data, teacher)
    spec = spec.updated(recipe=spec.recipe.updated(distillation=learning_from(teacher).updated(**changes)))
    with pytest.raises(StudyError, match=said) as raised:
        run_trial(spec, home, quiet)
    assert "which this recipe learns from" in str(raised.value)


def test_a_teacher_of_other_classes_is_refused_in_a_sentence(home, data, teacher):
    nodes = tiny_architecture().nodes
    other = tiny_architecture().updated(num_classes=4, nodes=(*nodes[:-1], nodes[-1].updated(units=4)))
    with pytest.raises(StudyError, match="tells 3 classes of images of shape"):
        run_trial(student(data, teacher, architecture=other), home, quiet)


def test_what_guessing_costs_at_most():
    assert guessing_loss(RECIPE) == pytest.approx(1.0986, abs=1e-4)
    learning = Distillation(teacher="a", weights_sha256="b", weight=0.5, temperature=2.0)
    assert guessing_loss(RECIPE.updated(distillation=learning)) == pytest.approx(2.5 * 1.0986, abs=1e-3)
