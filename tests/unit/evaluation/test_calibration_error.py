import numpy as np
import pytest

from modules.evaluation.calibration import BINS, bins_of, calibration_error


def test_it_is_the_gap_in_each_bin():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]], dtype=np.float32)
    found = calibration_error(probabilities, np.array([0, 1, 1, 1]))
    assert found == pytest.approx(0.5 * abs(0.5 - 0.9) + 0.5 * abs(1.0 - 0.6), abs=1e-6)


def test_certainty_lies_in_the_last_bin():
    assert bins_of(np.array([0.0, 0.5, 1.0])).tolist() == [0, 7, BINS - 1]
