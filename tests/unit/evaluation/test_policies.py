"""The worker's look at transformed images, on a data set of a few images."""

import base64
import io
from statistics import NormalDist

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from random_networks import as_tensors, random_network, random_weights
from tiny_study import NUM_STEER, NUM_TRAIN, make_data, tiny_architecture

from modules.augmentation.draws import Draws
from modules.augmentation.policy import build_policy
from modules.data.arrays import open_arrays
from modules.evaluation import policies
from modules.evaluation.observing import as_batch
from modules.records import Part
from modules.search.augmentation import Looks
from modules.store import Store

TRIAL = "a" * 32
ALL = Part(target="modules.selection.keep_all.KeepAll")
FLIP = Part(target="modules.augmentation.flip.Flip", arguments={"probability": 1.0})
NOTHING = Part(target="modules.augmentation.brightness.Brightness", arguments={"max_change": 0.0})


@pytest.fixture
def home(tmp_path):
    weights = as_tensors(random_weights(tiny_architecture()))
    Store(tmp_path / "store").put(
        "trials", TRIAL, {}, lambda folder: safetensors.torch.save_file(weights, folder / "weights.safetensors")
    )
    return tmp_path


def measure(home, data, on, *parts, num_images=1000):
    result = policies.measure_policies(
        architecture=tiny_architecture().model_dump(mode="json"),
        selection=ALL.model_dump(mode="json"),
        trial=TRIAL,
        policies=[[part.model_dump(mode="json")] for part in parts],
        on=on,
        num_images=num_images,
        data=data.model_dump(mode="json"),
        key="b" * 32,
        home=str(home),
        report=lambda progress: None,
    )
    assert Store(home / "store").find("policies", "b" * 32).record == result
    return Looks.model_validate(result)


@pytest.mark.parametrize(("on", "count"), [("steer", NUM_STEER), ("train", NUM_TRAIN)])
def test_figures_are_those_of_a_slow_look(home, on, count):
    data = make_data(home)
    looks = measure(home, data, on, NOTHING, FLIP)
    arrays = open_arrays(home, data)
    chosen = arrays.indices(on)
    assert len(chosen) == count
    images, labels = as_batch(arrays.images[chosen]), torch.from_numpy(arrays.labels[chosen])
    network = random_network(tiny_architecture()).eval()
    taken = []
    for seen, shown in ((looks.plain, images), (looks.seen[0], images), (looks.seen[1], images.flip(3))):
        with torch.no_grad():
            logits = network(shown)
        assert seen.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-4)
        assert seen.error == pytest.approx(float((logits.argmax(1) != labels).float().mean()))
        assert seen.change == pytest.approx(float((shown - images).abs().mean()), abs=1e-6)
        taken.append([[int(((labels == a) & (logits.argmax(1) == b)).sum()) for b in range(3)] for a in range(3)])
    confusion = looks.seen[1].confusion
    counts = np.bincount(labels, minlength=3)
    rises = (np.array(taken[2]) - np.array(taken[0])) / counts[:, None]
    assert confusion.rise == pytest.approx(rises[confusion.of, confusion.taken_for])
    assert confusion.images == counts[confusion.of]
    pairs = [(a, b) for a in range(3) for b in range(3) if a != b]
    bounds = {(a, b): slow_bound(taken[2][a][b], taken[0][a][b], counts[a], len(pairs)) for a, b in pairs}
    assert confusion.surely == pytest.approx(max(bounds.values()))
    assert confusion.surely == pytest.approx(bounds[confusion.of, confusion.taken_for])


def slow_bound(after, before, images, num_pairs):
    """Agresti and Caffo's of the difference of two fractions, at Bonferroni's level."""
    first, second = (before + 1) / (images + 2), (after + 1) / (images + 2)
    spread = (first * (1 - first) / (images + 2) + second * (1 - second) / (images + 2)) ** 0.5
    return second - first - NormalDist().inv_cdf(1 - 0.05 / num_pairs) * spread


@pytest.mark.parametrize(
    ("images", "taken", "is_sure"),
    [
        (1, 1, False),  # of a single image all are taken for another class
        (8, 3, False),
        (200, 22, False),
        (100, 34, True),  # MNIST's fives, flipped, in a usual look
        (2000, 680, True),
        (10, 10, True),
    ],
)
def test_few_images_or_a_small_rise_are_not_sure(images, taken, is_sure):
    before, after = (np.diag(np.full(10, images)) for _ in range(2))
    after[5, 5], after[5, 2] = images - taken, taken
    confusion = policies._described(
        {"loss": 0.0, "change": 0.1, "taken": after}, {"loss": 0.0, "change": 0.0, "taken": before}
    )["confusion"]
    assert (confusion["of"], confusion["taken_for"]) == (5, 2)
    assert confusion["rise"] == pytest.approx(taken / images)
    assert (confusion["surely"] > 0.1) == is_sure


def test_a_pair_is_named_by_what_is_sure_of_it():
    before = np.diag([2, 1000, 1000])
    after = np.array([[1, 1, 0], [0, 700, 300], [0, 0, 1000]])  # half of two images, and 30 % of a thousand
    look = {"loss": 0.0, "change": 0.1}
    confusion = policies._described({**look, "taken": after}, {**look, "taken": before})["confusion"]
    assert (confusion["of"], confusion["taken_for"]) == (1, 2)


def test_fewer_images_can_be_looked_at(home):
    looks = measure(home, make_data(home), "train", NOTHING, num_images=7)
    assert looks.plain.error * 7 == pytest.approx(round(looks.plain.error * 7))
    assert looks.plain == looks.seen[0]


def test_pictures_show_an_image_of_each_class_after_the_policy(home):
    data = make_data(home)
    result = policies.picture_policies(
        policies=[[FLIP.model_dump(mode="json")]],
        data=data.model_dump(mode="json"),
        key="c" * 32,
        home=str(home),
        report=lambda progress: None,
    )
    plain, flipped = (np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in result["strips"])
    assert plain.shape == flipped.shape == (8, 3 * 9)
    arrays = open_arrays(home, data)
    for place in range(3):
        tile = plain[:, 9 * place : 9 * place + 8]
        found = [index for index in arrays.indices("train") if (arrays.images[index][..., 0] == tile).all()]
        assert [arrays.labels[index] for index in found] == [place]
        np.testing.assert_array_equal(flipped[:, 9 * place : 9 * place + 8], tile[:, ::-1])
    assert build_policy([FLIP])(torch.ones(1, 1, 2, 2), Draws(0, 0, arrays.identities[:1])).shape == (1, 1, 2, 2)
