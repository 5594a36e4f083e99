"""The worker's look at what transforms do to images, and to what a trained network says about them."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import special
from torch import Tensor, nn

from modules.architecture.description import Architecture
from modules.architecture.module import Network
from modules.augmentation.draws import Draws
from modules.augmentation.policy import build_policy
from modules.data.arrays import Arrays, open_arrays
from modules.evaluation.jobs import trained_network
from modules.evaluation.observing import as_batch, batches_of
from modules.randomness import words
from modules.records import DataRecord, Part
from modules.store import Store
from modules.workers.jobs import Report, job

REVISION = 2  # 2: the pair of classes by a lower bound of the rise

_EPOCH = 2**32  # no training's: images are transformed as in none
_PICTURES = 10
_ALPHA = 0.05  # one-sided: how often some pair of classes may rise less than its bound says

Transform = Callable[[Tensor, Draws], Tensor]


@job
def measure_policies(
    architecture: dict[str, Any],
    selection: dict[str, Any],
    trial: str,
    policies: list[list[dict[str, Any]]],
    on: str,
    num_images: int,
    data: dict[str, Any],
    key: str,
    home: str,
    report: Report,
) -> dict[str, Any]:
    """What a trial's network says about images of *steer* or the selected training images after each policy.

    Stores and returns `policies/<key>` with a record of `seen` for each: loss, error, mean change of a pixel's value,
    and the pair of classes of which the first is most surely taken for the second more than without any policy.
    """
    record = DataRecord.model_validate(data)
    arrays = open_arrays(Path(home), record)
    network = trained_network(Path(home), trial, Architecture.model_validate(architecture)).eval()
    of_part = arrays.indices("steer") if on == "steer" else arrays.selected(Part.model_validate(selection))
    chosen = _sample(arrays, of_part, num_images)
    plain = _seen(network, arrays, chosen, build_policy(()), len(record.classes))
    described = []
    for policy in policies:
        built = build_policy([Part.model_validate(part) for part in policy])
        described.append(_described(_seen(network, arrays, chosen, built, len(record.classes)), plain))
    result = {"plain": _described(plain, plain), "seen": described}
    return dict(Store(Path(home) / "store").put("policies", key, result).record)


def _sample(arrays: Arrays, indices: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return np.sort(indices[np.argsort(words("policies", arrays.identities[indices]))[:most]])


def _seen(
    network: Network, arrays: Arrays, chosen: NDArray[np.int64], policy: Transform, num_classes: int
) -> dict[str, Any]:
    losses, changes = 0.0, 0.0
    taken = np.zeros((num_classes, num_classes), dtype=np.int64)  # row: true, column: predicted
    with torch.inference_mode():
        for batch in batches_of(chosen):
            images, labels = as_batch(arrays.images[batch]), torch.from_numpy(arrays.labels[batch])
            changed = policy(images, Draws(0, _EPOCH, arrays.identities[batch]))
            logits = network(changed).float()
            losses += float(nn.functional.cross_entropy(logits, labels, reduction="sum"))
            changes += float((changed - images).abs().mean(dim=(1, 2, 3)).sum())
            np.add.at(taken, (labels.numpy(), logits.argmax(dim=1).numpy()), 1)
    return {"loss": losses / len(chosen), "change": changes / len(chosen), "taken": taken}


def _described(seen: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    taken, counts = seen["taken"], plain["taken"].sum(axis=1)
    bounds = _least_rises(taken, plain["taken"])
    true, predicted = np.unravel_index(bounds.argmax(), bounds.shape)
    rise = taken[true, predicted] - plain["taken"][true, predicted]
    return {
        "loss": seen["loss"],
        "error": 1.0 - float(np.trace(taken)) / float(taken.sum()),
        "change": seen["change"],
        "confusion": {
            "of": int(true),
            "taken_for": int(predicted),
            "rise": float(rise / max(1, counts[true])),
            "images": int(counts[true]),
            "surely": float(bounds[true, predicted]),
        },
    }


def _least_rises(taken: NDArray[np.int64], before: NDArray[np.int64]) -> NDArray[np.float64]:
    """Lower bounds of how much more of each class (rows) is taken for each other one (columns) than before.

    Both fractions count one image more that is taken and one that is not, so that neither all nor none of a class means
    certainty (Agresti and Caffo 2000, doi:10.1080/00031305.2000.10474560). The bounds hold for all pairs of classes at
    once (Bonferroni), since one is picked from them.
    """
    counts = before.sum(axis=1, keepdims=True) + 2
    after, first = (taken + 1) / counts, (before + 1) / counts
    spread = np.sqrt((after * (1 - after) + first * (1 - first)) / counts)
    num_pairs = len(taken) * (len(taken) - 1)
    bounds: NDArray[np.float64] = after - first - special.ndtri(1 - _ALPHA / num_pairs) * spread
    np.fill_diagonal(bounds, -np.inf)
    return bounds


@job
def picture_policies(
    policies: list[list[dict[str, Any]]], data: dict[str, Any], key: str, home: str, report: Report
) -> dict[str, Any]:
    """A strip of training images after each policy, as PNG in base64; the first strip is of the images as they are."""
    arrays = open_arrays(Path(home), DataRecord.model_validate(data))
    chosen = _one_of_each(arrays, arrays.indices("train"))
    images, draws = as_batch(arrays.images[chosen]), Draws(0, _EPOCH, arrays.identities[chosen])
    strips = [
        _strip(build_policy([Part.model_validate(part) for part in policy])(images, draws))
        for policy in ([], *policies)
    ]
    return dict(Store(Path(home) / "store").put("policy_pictures", key, {"strips": strips}).record)


def _one_of_each(arrays: Arrays, train: NDArray[np.int64]) -> NDArray[np.int64]:
    """One image of each class, at most ten."""
    shuffled = train[np.argsort(words("pictures", arrays.identities[train]))]
    _, first = np.unique(arrays.labels[shuffled], return_index=True)
    return shuffled[first[:_PICTURES]]


def _strip(images: Tensor) -> str:
    """Side by side, with a column between them."""
    pixels = (nn.functional.pad(images, [0, 1, 0, 0], value=1.0) * 255).round().byte()
    row = torch.cat(list(pixels), dim=2).permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(row[..., 0] if row.shape[2] != 3 else row).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
