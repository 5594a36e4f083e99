import numpy as np
import pytest

from modules.evaluation.outputs import Outputs
from modules.explanation.class_figures import class_figures
from modules.explanation.examples import confused_pairs, pick_examples

# class 0: right and sure, right and middling, right by a hair, wrong and sure, wrong by a hair; class 1: all right
PROBABILITIES = np.array(
    [[0.9, 0.1], [0.8, 0.2], [0.51, 0.49], [0.05, 0.95], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8], [0.1, 0.9]],
    dtype=np.float32,
)
OUTPUTS = Outputs(np.zeros(8, dtype=np.float32), PROBABILITIES, np.array([0, 0, 0, 0, 0, 1, 1, 1]))


def test_of_each_class_a_typical_image_the_most_confident_error_and_a_borderline_case():
    picks = {pick.place: pick.kind for pick in pick_examples(OUTPUTS, 10)}
    assert picks == {1: "typical", 2: "borderline", 3: "confident error", 5: "borderline", 6: "typical"}


def test_where_there_is_room_for_few_classes_with_errors_come_first():
    assert {pick.place for pick in pick_examples(OUTPUTS, 2)} == {1, 3}


def test_pairs_with_the_most_confident_first():
    (pair,) = confused_pairs(OUTPUTS, 5)
    assert (pair.label, pair.predicted, list(pair.places)) == (0, 1, [3, 4])


def test_figures_of_classes_by_hand():
    first, second, third = class_figures(OUTPUTS, ("a", "b", "never seen"))
    assert (first.images, first.predicted, first.error, first.precision) == (5, 3, pytest.approx(0.4), 1.0)
    assert first.error_interval == pytest.approx((0.118, 0.769), abs=1e-3)  # Wilson, 2 of 5
    assert (second.error, second.precision) == (0.0, pytest.approx(0.6))
    assert (third.error, third.error_interval, third.precision) == (None, None, None)
