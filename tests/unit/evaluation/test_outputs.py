import numpy as np
import pytest

from modules.evaluation.outputs import Outputs, cross_entropies

SEEN = Outputs(
    losses=np.array([0.1, 0.2, 3.0, 0.5], np.float32),
    probabilities=np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.05, 0.05, 0.9], [0.6, 0.2, 0.2]], np.float32),
    labels=np.array([0, 1, 0, 0]),
)


def test_figures_by_hand():
    assert SEEN.predicted.tolist() == [0, 1, 2, 0]
    assert SEEN.wrong.tolist() == [False, False, True, False]
    assert SEEN.error == 0.25
    assert SEEN.loss == pytest.approx(0.95)


def test_the_mean_of_many_small_losses_is_summed_in_double_precision():
    losses = np.full(1_000_003, 0.1, np.float32)
    seen = Outputs(losses, np.zeros((len(losses), 1), np.float32), np.zeros(len(losses), np.int64))
    assert seen.loss == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_what_is_written_is_read(tmp_path):
    SEEN.write(tmp_path / "outputs.safetensors")
    for ours, theirs in zip(SEEN, Outputs.read(tmp_path / "outputs.safetensors"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_balanced_losses_give_each_class_that_occurs_the_same_share():
    labels = np.array([0, 0, 0, 2])
    losses = np.array([1.0, 2.0, 3.0, 10.0], dtype=np.float32)
    balanced = Outputs(losses, np.zeros((4, 3), dtype=np.float32), labels).balanced()
    assert balanced.loss == pytest.approx((2.0 + 10.0) / 2)
    assert (balanced.wrong == Outputs(losses, np.zeros((4, 3), dtype=np.float32), labels).wrong).all()


def test_cross_entropies_by_hand():
    probabilities = np.array([[0.25, 0.75], [1.0, 0.0]], np.float32)
    assert cross_entropies(probabilities, np.array([0, 1])) == pytest.approx([np.log(4), 12 * np.log(10)])
