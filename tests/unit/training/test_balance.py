"""Classes of unequal sizes in a training: the loss that is weighed and the images that come more often."""

import numpy as np
import pytest
import torch
from tiny_study import tiny_architecture, tiny_recipe, tiny_spec

from modules.architecture.module import build_module
from modules.records import Part
from modules.store import Store
from modules.training.history import History
from modules.training.module import TrialModule
from modules.training.training import Training
from modules.training.trial import run_trial

WEIGHTS = Part(target="modules.selection.balance.class_weights.ClassWeights", arguments={"power": 1.0})
SAMPLING = Part(target="modules.selection.balance.oversampling.Oversampling", arguments={"power": 1.0})


def module_with(class_weights, label_smoothing=0.0):
    network = build_module(tiny_architecture(dropout=0.0))
    return TrialModule(
        network,
        optimizer=Part(target="torch.optim.SGD"),
        history=History(1, 1),
        label_smoothing=label_smoothing,
        gradient_clip=None,
        seed=0,
        first_sample=0,
        class_weights=class_weights,
        first_layer_rate=1.0,
        teacher=None,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_weighed_image_by_image(smoothing):
    torch.manual_seed(0)
    images, labels = torch.rand(6, 1, 8, 8), torch.tensor([0, 1, 2, 0, 0, 1])
    weights = np.array([0.5, 1.0, 2.5])
    module = module_with(weights, smoothing)
    module.network.eval()
    shares = torch.nn.functional.one_hot(labels, 3).float()
    with torch.no_grad():
        each = [
            float(
                torch.nn.functional.cross_entropy(module.network(image[None]), label[None], label_smoothing=smoothing)
            )
            for image, label in zip(images, labels, strict=True)
        ]
        losses = [float(module.loss(images, targets)) for targets in (labels, shares)]
    np.testing.assert_allclose(losses, np.mean(weights[labels.numpy()] * each), rtol=1e-5)


def test_weights_of_one_change_nothing():
    images, labels = torch.rand(6, 1, 8, 8), torch.tensor([0, 1, 2, 0, 0, 1])
    plain, weighed = module_with(None), module_with(np.ones(3))
    weighed.network.load_state_dict(plain.network.state_dict())
    assert float(plain.loss(images, labels).detach()) == pytest.approx(float(weighed.loss(images, labels).detach()))


def training(spec, home):
    return Training(spec, home, Store(home / "store"), lambda progress: None)


def skewed(home, data):
    """Of the 60 training images, 40 show class 0 and 10 each of the others."""
    path = home / data.folder / "labels.npy"
    labels = np.load(path)
    labels[:60] = np.repeat([0, 1, 2], [40, 10, 10])
    np.save(path, labels)


@pytest.mark.parametrize(("balance", "epoch"), [(None, [40, 10, 10]), (WEIGHTS, [40, 10, 10]), (SAMPLING, [40] * 3)])
def test_an_epoch_has_as_many_of_each_class_as_was_asked_for(home, data, balance, epoch):
    skewed(home, data)
    built = training(tiny_spec(data).updated(recipe=tiny_recipe(balance=balance)), home)
    assert built.history.epoch_samples == sum(epoch)
    chosen, _ = built.data.stream.piece(0, sum(epoch))
    assert np.bincount(built.data.arrays.labels[chosen]).tolist() == epoch
    if balance == WEIGHTS:
        np.testing.assert_allclose(built.module.class_weights, [0.5, 2.0, 2.0])


def test_balancing_is_part_of_the_key_and_of_the_bits(home, data):
    skewed(home, data)
    specs = [tiny_spec(data).updated(recipe=tiny_recipe(balance=balance)) for balance in (None, WEIGHTS, SAMPLING)]
    assert len({spec.key for spec in specs}) == 3
    assert len({run_trial(spec, home, lambda progress: None).weights_sha256 for spec in specs}) == 3
