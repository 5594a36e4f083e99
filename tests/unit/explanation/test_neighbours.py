import numpy as np
import pytest
import torch
from shortcut import marked_images, shortcut

from modules.data.arrays import Arrays
from modules.evaluation.observing import as_batch
from modules.evaluation.outputs import Outputs
from modules.explanation.jobs import _neighbours
from modules.explanation.neighbours import features, nearest, remark
from modules.randomness import words
from modules.selection.kept import keeping
from modules.store import Store


def test_nearest_by_the_slow_obvious_way():
    drawn = np.random.default_rng(0)
    queries, candidates = drawn.normal(size=(3, 5)).astype(np.float32), drawn.normal(size=(20, 5)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
    places, cosines = nearest(queries, candidates, 4)
    for query, found, likeness in zip(queries, places, cosines, strict=True):
        distances = [float(((query - candidate) ** 2).sum()) for candidate in candidates]
        assert list(found) == sorted(range(20), key=lambda place: distances[place])[:4]
        assert likeness == pytest.approx([1 - distances[place] / 2 for place in found], abs=1e-5)


def test_images_of_a_class_lie_near_each_other():
    images, labels = marked_images(60, seed=5)
    found = features(shortcut().network, images, np.arange(60))
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(60), abs=1e-5)
    places, _ = nearest(found[:10], found[10:], 5)
    assert (labels[10:][places] == labels[:10, None]).all()


def test_features_are_what_the_last_layer_reads():
    images, _ = marked_images(7, seed=5)
    network = shortcut().network
    with torch.inference_mode():
        expected = network.outputs(as_batch(images))["pool2"].numpy()
    found = features(network, images, np.arange(7))
    assert found == pytest.approx(expected / np.linalg.norm(expected, axis=1, keepdims=True), abs=1e-5)


def test_what_is_said_of_the_labels_of_neighbours():
    assert remark("cat", "dog", ["dog"] * 5 + ["cat"]) == (
        "5 of the 6 nearest training images are dog, too: the label cat may be wrong"
    )
    assert "the features know it" in remark("cat", "dog", ["cat"] * 4 + ["dog"] * 2)
    assert remark("cat", "dog", ["cat", "dog"]) == "the nearest training images are of both classes: 1 dog, 1 cat"
    assert (
        remark("cat", "dog", ["cow", "dog", "cow", "cat"])
        == "the nearest training images are of other classes, too: 2 cow, 1 dog, 1 cat"
    )


def test_neighbours_have_the_labels_that_were_trained_under(tmp_path):
    """All of class 0 are trained under class 1."""
    images, labels = marked_images(30, seed=5)
    parts = np.repeat(np.array([0, 3], dtype=np.uint8), [20, 10])
    store, identities = Store(tmp_path / "store"), words("neighbours", np.arange(30, dtype=np.uint64))
    selection = keeping(store, identities[:20], labels[:20], np.ones(20, dtype=np.int64))
    said = np.eye(2, dtype=np.float32)[1 - labels[20:]]
    test = Outputs(np.zeros(10, dtype=np.float32), said, labels[20:])
    arrays = Arrays(images, labels, parts, identities, store)
    found = _neighbours(shortcut().network, test, arrays, selection, ("lying", "standing"), pass_seconds=1.0)
    assert {near.label for error in found for near in error.nearest} == {"standing"}
    assert {error.label for error in found} == {"lying", "standing"}
