"""Against the definition, and on probabilities whose temperature is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.evaluation.outputs import Outputs
from modules.explanation.calibration import (
    calibration_error,
    calibration_figures,
    cross_entropy,
    fit_temperature,
    reliability,
    scaled,
)


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def made_up(temperature: float, count: int = 4000, seed: int = 0) -> Outputs:
    """Labels drawn from a softmax; what the network says is that of logits `temperature` times as large."""
    drawn = np.random.default_rng(seed)
    logits = drawn.normal(0, 1.5, (count, 4))
    thresholds = drawn.random((count, 1))
    labels = (softmax(logits).cumsum(axis=1) < thresholds).sum(axis=1).clip(0, 3)
    said = softmax(logits * temperature).astype(np.float32)
    return Outputs(np.zeros(count, dtype=np.float32), said, labels)


@given(st.floats(0.1, 10), st.integers(0, 1000))
def test_scaling_is_a_softmax_of_logits_divided_by_the_temperature(temperature, seed):
    logits = np.random.default_rng(seed).normal(0, 2, (5, 3))
    assert scaled(softmax(logits), temperature) == pytest.approx(softmax(logits / temperature), abs=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_found_and_helps_on_other_images(temperature):
    assert fit_temperature(made_up(temperature)) == pytest.approx(temperature, rel=0.1)
    figures = calibration_figures(made_up(temperature), made_up(temperature, seed=1))
    assert figures.scaled_error < 0.03
    assert figures.scaled_loss <= figures.loss + 1e-3
    if temperature == 3.0:
        assert figures.error > 0.1


def test_calibration_error_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    labels = np.array([0, 1, 0, 0])
    bins = reliability(probabilities, labels)
    assert [(each.images, each.accuracy) for each in bins] == [(2, 0.5), (2, 0.5)]
    assert calibration_error(probabilities, labels) == pytest.approx((2 * 0.1 + 2 * 0.4) / 4)
    assert cross_entropy(probabilities, labels) == pytest.approx(-np.log([0.9, 0.1, 0.6, 0.4]).mean())
