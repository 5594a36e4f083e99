"""Suspects of made-up labels; and the counts that they rest on, against a slow version of confident learning."""

import numpy as np
import pytest

from modules.selection.label_errors import find_suspects


def noisy(num=3000, num_classes=4, share=0.1, seed=0, sharpness=4.0):
    """True labels, labels of which a share is flipped, and probabilities that know the true ones fairly well."""
    random = np.random.default_rng(seed)
    true = random.integers(0, num_classes, num)
    flipped = random.random(num) < share
    labels = np.where(flipped, (true + random.integers(1, num_classes, num)) % num_classes, true)
    logits = random.normal(size=(num, num_classes))
    logits[np.arange(num), true] += sharpness
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return true, labels, probabilities


@pytest.mark.parametrize("rule", ["prune_by_noise_rate", "prune_by_class", "both", "confident_learning"])
def test_flipped_labels_are_found_and_what_they_were_is_suggested(rule):
    true, labels, probabilities = noisy()
    found = find_suspects(labels, probabilities, rule)
    wrong = true != labels
    assert wrong[found.indices].mean() > 0.9
    assert wrong[found.indices].sum() > 0.8 * wrong.sum()
    hits = found.indices[wrong[found.indices]]
    assert (found.suggested[wrong[found.indices]] == true[hits]).mean() > 0.95
    assert len(set(found.indices.tolist())) == len(found)


def test_confidence_is_the_probability_of_what_is_suggested():
    _, labels, probabilities = noisy()
    found = find_suspects(labels, probabilities, confidence=0.8)
    np.testing.assert_array_equal(found.confidence, probabilities[found.indices, found.suggested])
    assert (found.confidence >= 0.8).all()
    assert (found.suggested != labels[found.indices]).all()
    looser = find_suspects(labels, probabilities, confidence=0.0)
    assert set(found.indices.tolist()) < set(looser.indices.tolist())


def test_the_surest_come_first():
    true, labels, probabilities = noisy(share=0.2, sharpness=2.5)
    found = find_suspects(labels, probabilities, confidence=0.0)
    half = len(found) // 2
    wrong = true != labels
    assert wrong[found.indices[:half]].mean() > wrong[found.indices[half:]].mean()


def test_right_labels_are_not_suspected():
    true, _, probabilities = noisy(sharpness=12.0)
    assert len(find_suspects(true, probabilities)) == 0


def test_confident_learning_is_the_slow_version():
    _, labels, probabilities = noisy(400, 3, 0.2)
    thresholds = [probabilities[labels == label, label].mean() for label in range(3)]
    slow = []
    for index, label in enumerate(labels):
        above = [other for other in range(3) if probabilities[index, other] >= thresholds[other] - 1e-6]
        if above and max(above, key=lambda other: probabilities[index, other]) != label:
            slow.append(index)
    found = find_suspects(labels, probabilities, "confident_learning", confidence=0.0)
    assert sorted(found.indices.tolist()) == slow


@pytest.mark.parametrize("rule", ["prune_by_noise_rate", "prune_by_class", "both", "confident_learning"])
@pytest.mark.parametrize("labels", [[2], [0, 0, 0], [1, 2], [0, 1, 1, 0, 3, 3] * 5, [0] * 30 + [1]])
def test_few_images_and_missing_classes_are_no_trouble(rule, labels):
    _, _, probabilities = noisy(len(labels))
    found = find_suspects(np.array(labels), probabilities, rule, confidence=0.0)
    assert (found.suggested != np.array(labels)[found.indices]).all()
    if len(set(labels)) == 1:
        assert len(found) == 0
