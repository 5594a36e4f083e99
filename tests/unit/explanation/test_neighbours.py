import numpy as np
import pytest
import torch
from shortcut import marked_images, shortcut

from modules.evaluation.observing import as_batch
from modules.explanation.neighbours import features, nearest, remark


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
    assert (
        remark("cat", "dog", ["cat", "dog", "cow"]) == "the nearest training images are of both classes: 1 dog, 1 cat"
    )
