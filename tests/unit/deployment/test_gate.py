import json

import numpy as np
import pytest
from deployed import deploy, winner_of

from modules.data.arrays import open_arrays
from modules.deployment.bundles import manifest_of
from modules.deployment.gate import Seen, bootstrap, compare, gate
from modules.errors import DeploymentError

COUNT = 400
LABELS = np.arange(COUNT) % 3


def seen(wrong_share=0.1, confidence=0.9, seed=0, wrong_class=None):
    """A model that gives `confidence` to one class, the right one but for a share of the images."""
    random = np.random.default_rng(seed)
    wrong = random.random(COUNT) < wrong_share
    if wrong_class is not None:
        wrong |= (wrong_class == LABELS) & (random.random(COUNT) < 0.5)
    chosen = np.where(wrong, (LABELS + 1) % 3, LABELS)
    confidences = np.clip(confidence + random.normal(0, 0.02, COUNT), 0.4, 0.99)
    probabilities = np.repeat((1 - confidences[:, None]) / 2, 3, axis=1)
    probabilities[np.arange(COUNT), chosen] = confidences
    return Seen(probabilities.astype(np.float32), LABELS)


@pytest.fixture(scope="module")
def manifest(good):
    return manifest_of(good)


def compared(ours, theirs, manifest, live=None, **limits):
    changed = manifest.updated(gate=manifest.gate.updated(**limits))
    figures = {}
    merits, failings = compare(ours, theirs, LABELS, changed, live or manifest, figures)
    return merits, " ".join(failings), figures


def test_a_better_one_passes(manifest):
    merits, failings, figures = compared(seen(0.02), seen(0.2, seed=1), manifest)
    assert "it is better" in merits[0]
    assert failings == ""
    assert figures["loss_rise"][1] < 0
    assert figures["mcnemar_better"] < 0.05 < figures["mcnemar_worse"]


def test_the_same_again_does_not_pass_unless_it_is_cheaper(manifest):
    one = seen()
    merits, failings, _ = compared(one, one, manifest)
    assert not merits
    assert "no evidence that it is better" in failings
    costly = manifest.updated(flops=2 * manifest.flops)
    merits, failings, _ = compared(one, one, manifest, live=costly)
    assert "50% fewer operations" in merits[0]
    assert failings == ""
    larger = costly.updated(size_bytes=manifest.size_bytes - 1)
    assert not compared(one, one, manifest, live=larger)[0]


def test_a_cheaper_one_that_may_be_worse_does_not_pass(manifest):
    live = manifest.updated(flops=2 * manifest.flops)
    merits, failings, _ = compared(seen(0.15), seen(0.1, seed=1), manifest, live=live, margin=0.01)
    assert not merits
    assert "it is cheaper, but its error may be" in failings


@pytest.mark.parametrize(("count", "passes"), [(100, False), (1000, True)])
def test_images_on_which_both_are_right_prove_little_where_they_are_few(manifest, count, passes):
    labels = np.zeros(count, dtype=np.int64)
    both = Seen(np.tile(np.array([0.9, 0.05, 0.05], dtype=np.float32), (count, 1)), labels)
    exact = manifest.updated(gate=manifest.gate.updated(margin=0.005))
    figures = {}
    merits, failings = compare(both, both, labels, exact, manifest.updated(flops=2 * manifest.flops), figures)
    assert bool(merits) == passes
    assert bool(failings) != passes
    assert figures["error_rise"][1] == pytest.approx(1.96 / (count + 2))


def test_one_that_errs_more_often_does_not_pass(manifest):
    _, failings, _ = compared(seen(0.3), seen(0.1, seed=1), manifest)
    assert "it errs more often than what is live (McNemar p" in failings


def test_one_that_is_worse_in_a_class_does_not_pass(manifest):
    _, failings, _ = compared(seen(0.02, wrong_class=2), seen(0.1, seed=1), manifest)
    assert f"class {manifest.classes[2]} has an error" in failings
    assert f"class {manifest.classes[0]}" not in failings


def test_one_that_is_worse_calibrated_does_not_pass(manifest):
    _, failings, _ = compared(seen(0.1, confidence=0.5), seen(0.1), manifest, calibration_margin=0.1)
    assert "its calibration error is" in failings


def test_the_bootstrap_is_the_normal_interval_where_there_are_many_images():
    ours, theirs = seen(0.1), seen(0.15, seed=1)
    losses = ours.losses - theirs.losses
    drawn = bootstrap(ours, theirs)["loss"]
    error = losses.std() / np.sqrt(COUNT)
    np.testing.assert_allclose(drawn.mean(), losses.mean(), atol=4 * error / np.sqrt(2000))
    np.testing.assert_allclose(drawn.std(), error, rtol=0.1)


def test_the_first_of_its_model_passes_within_its_limits(home, good, weak):
    decision = gate(good, None, home)
    assert decision.goes_live
    assert decision.figures["images"] == 20
    slow = deploy(winner_of(home, "good"), home, max_latency_ms=1e-6, max_size_mb=1e-6)
    refused = gate(slow, None, home)
    assert not refused.goes_live
    assert "ms; allowed are 1e-06" in refused.reasons[0]
    assert "MB; allowed are 1e-06" in refused.reasons[1]
    better = gate(good, weak, home)
    assert better.goes_live, better.reasons
    worse = gate(weak, good, home)
    assert not worse.goes_live
    json.dumps(worse.model_dump(mode="json"), allow_nan=False)


def test_the_gates_images_are_frozen_and_seen_by_no_challenger(home, good):
    gate(good, None, home)
    folder = home / "bundles/tiny/gate-images"
    data = manifest_of(good).data
    arrays = open_arrays(home, data)
    images = np.load(folder / "images.npy")
    np.testing.assert_array_equal(images, arrays.images[arrays.indices("confirm")])
    parts = home / data.folder / "parts.npy"
    kept = np.load(parts)
    try:
        np.save(parts, np.where(kept == 2, 0, kept).astype(np.uint8))
        with pytest.raises(DeploymentError, match="was trained on 20 of the 20 images of the gate"):
            gate(good, None, home)
    finally:
        np.save(parts, kept)
    labels = (folder / "labels.npy").read_bytes()
    try:
        (folder / "labels.npy").write_bytes(labels[:-1] + b"\7")
        with pytest.raises(DeploymentError, match=r"were altered \(labels.npy\)"):
            gate(good, None, home)
    finally:
        (folder / "labels.npy").write_bytes(labels)
