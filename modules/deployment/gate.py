"""The gate: whether a challenger may take the place of what is live, decided on images that are frozen for that.

It may if it is better, or not worse by more than a margin and cheaper; if no class's error and not its calibration rose
by more than a margin and more than chance explains; and within its limits. Both models are asked themselves, on the
same images, so that every difference is paired. The images are the *confirm* part of the first bundle that asked: no
challenger may have been trained on one of them, but *confirm* also chose between the final trainings of each study.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modules.deployment.bundles import manifest_of
from modules.deployment.gate_images import GateImages, arrays_of, gate_images
from modules.deployment.inference import ExportedModel
from modules.deployment.latency import measure_latency_ms
from modules.deployment.manifest import Manifest
from modules.errors import DeploymentError
from modules.evaluation.calibration import calibration_of, gaps_of
from modules.evaluation.intervals import ALPHA, paired_interval
from modules.evaluation.outputs import cross_entropies
from modules.evaluation.significance import mcnemar_worse
from modules.records import Record

_RESAMPLES = 2000
_AT_ONCE = 100  # resamples, for the sake of memory
_SEED = 20_251_103


class Decision(Record):
    """Whether a challenger goes live, with every reason and the figures behind them."""

    goes_live: bool
    reasons: tuple[str, ...]
    figures: dict[str, Any]


class Seen:
    """What a model says of the gate's images: `losses`, `wrong` and `confidences` (N each)."""

    def __init__(self, probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        self.losses = cross_entropies(probabilities, labels)
        self.wrong = probabilities.argmax(axis=1) != labels
        self.confidences = probabilities.max(axis=1)

    @property
    def figures(self) -> dict[str, float]:
        """In short."""
        calibration = calibration_of(self.confidences, ~self.wrong)
        return {"error": float(self.wrong.mean()), "loss": float(self.losses.mean()), "calibration": calibration}


def gate(challenger: Path, live: Path | None, home: Path) -> Decision:
    """Judge a bundle against the live one, or against its own limits alone where nothing is live."""
    manifest = manifest_of(challenger)
    images = gate_images(manifest, home)
    _check_unseen(manifest, images, home)
    ours = _seen(challenger, manifest, images)
    figures: dict[str, Any] = {"images": len(images.labels), "challenger": ours.figures}
    latency_ms = measure_latency_ms(challenger / "model.onnx")
    figures["challenger"] |= {"latency_ms": latency_ms, "size_bytes": manifest.size_bytes, "flops": manifest.flops}
    objections = list(_limits(manifest, latency_ms))
    if live is None:
        objections += _chance(ours, len(manifest.classes))
        return _decided(["nothing was live before"], objections, figures)
    theirs = manifest_of(live)
    if (theirs.classes, theirs.image_shape) != (manifest.classes, manifest.image_shape):
        raise DeploymentError(
            f"bundle {manifest.version} has other classes or images of another shape than {theirs.version}, which is "
            f"live as {theirs.model}: its clients would not understand it; deploy it under another data.name"
        )
    before = _seen(live, theirs, images)
    figures["live"] = {**before.figures, "size_bytes": theirs.size_bytes, "flops": theirs.flops}
    merits, failings = compare(ours, before, images.labels, manifest, theirs, figures)
    return _decided(merits, objections + failings, figures)


def compare(
    ours: Seen, theirs: Seen, labels: NDArray[np.int64], manifest: Manifest, live: Manifest, figures: dict[str, Any]
) -> tuple[list[str], list[str]]:
    """What speaks for the challenger and what against it; the intervals are written into `figures`."""
    resampled = bootstrap(ours, theirs)
    loss, error = _interval(resampled["loss"]), _error_interval(ours, theirs)
    worse, better = mcnemar_worse(ours.wrong, theirs.wrong), mcnemar_worse(theirs.wrong, ours.wrong)
    figures |= {"loss_rise": list(loss), "error_rise": list(error), "mcnemar_worse": worse, "mcnemar_better": better}
    limits = manifest.gate
    merits, failings = [], []
    if worse < ALPHA:
        failings.append(f"it errs more often than what is live (McNemar p = {worse:.2g})")
    cheaper = _is_cheaper(manifest, live)
    if loss[1] < 0:
        merits.append(f"it is better: {_between(loss)}")
    elif error[1] <= limits.margin and cheaper:
        merits.append(f"its error is higher by at most {error[1]:.2%} (allowed {limits.margin:.2%}), and {cheaper}")
    elif cheaper:
        failings.append(f"it is cheaper, but its error may be {error[1]:.2%} higher; allowed is {limits.margin:.2%}")
    else:
        failings.append(f"no evidence that it is better: {_between(loss)}; nor is it cheaper")
    failings += _worse_classes(ours, theirs, labels, manifest)
    rise = calibration_of(ours.confidences, ~ours.wrong) - calibration_of(theirs.confidences, ~theirs.wrong)
    if rise > limits.calibration_margin and np.quantile(resampled["calibration"], ALPHA) > 0:
        failings.append(f"its calibration error is {rise:.2%} higher; allowed is {limits.calibration_margin:.2%}")
    return merits, failings


def bootstrap(ours: Seen, theirs: Seen, resamples: int = _RESAMPLES) -> dict[str, NDArray[np.float64]]:
    """Differences, ours minus theirs, over images drawn again with replacement, the same for both (Efron 1979)."""
    count = len(ours.losses)
    random = np.random.default_rng(_SEED)
    losses = ours.losses - theirs.losses
    gaps = [gaps_of(seen.confidences, ~seen.wrong) for seen in (ours, theirs)]
    drawn: dict[str, list[NDArray[np.float64]]] = {"loss": [], "calibration": []}
    for start in range(0, resamples, _AT_ONCE):
        size = min(_AT_ONCE, resamples - start)
        weights = random.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64) / count
        drawn["loss"].append(weights @ losses)
        first, second = (np.abs(weights @ each).sum(axis=1) for each in gaps)
        drawn["calibration"].append(first - second)
    return {name: np.concatenate(pieces) for name, pieces in drawn.items()}


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def _error_interval(ours: Seen, theirs: Seen) -> tuple[float, float]:
    """Of the rise; not resampled, as images on which the two do not differ in error would be taken for certainty."""
    only_theirs, only_ours = int((theirs.wrong & ~ours.wrong).sum()), int((ours.wrong & ~theirs.wrong).sum())
    return paired_interval(only_theirs, only_ours, len(ours.wrong))


def _between(interval: tuple[float, float]) -> str:
    return f"its cross-entropy minus that of what is live is {interval[0]:+.4f} to {interval[1]:+.4f} (95 %)"


def _is_cheaper(manifest: Manifest, live: Manifest) -> str:
    """How it is cheaper, a phrase: fewer operations or a smaller file, and more of neither; else empty."""
    pairs = ((manifest.flops, live.flops, "operations"), (manifest.size_bytes, live.size_bytes, "bytes"))
    if any(ours > theirs for ours, theirs, _ in pairs):
        return ""
    saved = [f"{1 - ours / theirs:.0%} fewer {unit}" for ours, theirs, unit in pairs if ours < theirs]
    return f"it has {' and '.join(saved)}" if saved else ""


def _worse_classes(ours: Seen, theirs: Seen, labels: NDArray[np.int64], manifest: Manifest) -> list[str]:
    """Classes whose error rose by more than the margin, and by more than chance would have it."""
    failings = []
    for number, name in enumerate(manifest.classes):
        of_class = labels == number
        if not of_class.any():
            continue
        rise = float(ours.wrong[of_class].mean() - theirs.wrong[of_class].mean())
        chance = mcnemar_worse(ours.wrong[of_class], theirs.wrong[of_class])
        if rise > manifest.gate.class_margin and chance < ALPHA:
            failings.append(
                f"class {name} has an error {rise:.2%} higher; allowed is {manifest.gate.class_margin:.2%} "
                f"(McNemar p = {chance:.2g})"
            )
    return failings


def _limits(manifest: Manifest, latency_ms: float) -> list[str]:
    limits, size_mb = manifest.gate, manifest.size_bytes / 1e6
    failings = []
    if limits.max_latency_ms is not None and latency_ms > limits.max_latency_ms:
        failings.append(f"an image takes {latency_ms:.3g} ms; allowed are {limits.max_latency_ms:g}")
    if limits.max_size_mb is not None and size_mb > limits.max_size_mb:
        failings.append(f"the model has {size_mb:.3g} MB; allowed are {limits.max_size_mb:g}")
    return failings


def _chance(seen: Seen, classes: int) -> list[str]:
    if float(seen.losses.mean()) < np.log(classes):
        return []
    return [f"its cross-entropy of {seen.losses.mean():.3g} is no better than guessing ({np.log(classes):.3g})"]


def _decided(merits: list[str], failings: list[str], figures: dict[str, Any]) -> Decision:
    goes_live = bool(merits) and not failings
    return Decision(goes_live=goes_live, reasons=tuple(merits if goes_live else failings), figures=figures)


def _seen(bundle: Path, manifest: Manifest, images: GateImages) -> Seen:
    if (manifest.classes, manifest.image_shape) != (images.classes, images.images.shape[1:]):
        raise DeploymentError(
            f"bundle {manifest.version} has other classes or images of another shape than the images of the gate of "
            f"{manifest.model}; deploy it under another data.name"
        )
    return Seen(ExportedModel(bundle / "model.onnx").probabilities(images.images), images.labels)


def _check_unseen(manifest: Manifest, images: GateImages, home: Path) -> None:
    """DeploymentError where the challenger was trained, or chosen, on images of the gate."""
    arrays = arrays_of(manifest, home)
    used = np.concatenate([arrays.indices("train"), arrays.indices("steer")])
    shared = int(np.isin(images.identities, arrays.identities[used]).sum())
    if shared:
        raise DeploymentError(
            f"bundle {manifest.version} was trained on {shared} of the {len(images.labels)} images of the gate of "
            f"{manifest.model}; train it with the data.split_seed and fractions of the first bundle"
        )
