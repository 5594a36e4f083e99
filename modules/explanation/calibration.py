"""Temperature scaling and reliability (Guo, Pleiss, Sun and Weinberger 2017, arXiv:1706.04599)."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from modules.evaluation.calibration import BINS, bins_of, calibration_error
from modules.evaluation.outputs import Outputs, cross_entropies, logarithms
from modules.explanation.records import CalibrationFigures, ReliabilityBin

_TEMPERATURES = (0.05, 20.0)

Probabilities = NDArray[np.float64]


def calibration_figures(fitted_on: Outputs, shown_on: Outputs) -> CalibrationFigures:
    """Fit the temperature on one part and say what it does on another."""
    temperature = fit_temperature(fitted_on)
    plain = scaled(shown_on.probabilities, 1.0)
    cooled = scaled(shown_on.probabilities, temperature)
    return CalibrationFigures(
        temperature=temperature,
        error=calibration_error(plain, shown_on.labels),
        scaled_error=calibration_error(cooled, shown_on.labels),
        loss=cross_entropy(plain, shown_on.labels),
        scaled_loss=cross_entropy(cooled, shown_on.labels),
        bins=reliability(plain, shown_on.labels),
        scaled_bins=reliability(cooled, shown_on.labels),
    )


def fit_temperature(outputs: Outputs) -> float:
    """The temperature with the least cross-entropy; above 1: the network was too sure."""

    def loss(logarithm: float) -> float:
        return cross_entropy(scaled(outputs.probabilities, float(np.exp(logarithm))), outputs.labels)

    low, high = np.log(_TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def scaled(probabilities: NDArray[np.floating], temperature: float) -> Probabilities:
    """What the softmax gives for logits divided by a temperature; the logits themselves are not needed for it."""
    logits = logarithms(probabilities) / temperature
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Probabilities = raised / raised.sum(axis=1, keepdims=True)
    return result


def cross_entropy(probabilities: Probabilities, labels: NDArray[np.int64]) -> float:
    """Its mean, in nats."""
    return float(cross_entropies(probabilities, labels).mean())


def reliability(probabilities: Probabilities, labels: NDArray[np.int64]) -> tuple[ReliabilityBin, ...]:
    """Mean confidence and accuracy of images in bins of equal width; empty ones are left out."""
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    places = bins_of(confidences)
    return tuple(
        ReliabilityBin(images=int(mine.sum()), confidence=confidences[mine].mean(), accuracy=right[mine].mean())
        for mine in (places == place for place in range(BINS))
        if mine.any()
    )
