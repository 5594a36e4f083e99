"""Training images that a network finds most like others, by the cosine of its last features."""

from collections import Counter

import numpy as np
import torch
from numpy.typing import NDArray

from modules.architecture.module import Network
from modules.evaluation.observing import as_batch, batch_size_for, batches_of, device_of

REVISION = 2

Features = NDArray[np.float32]


def features(network: Network, images: NDArray[np.uint8], indices: NDArray[np.int64]) -> Features:
    """What the last layer reads (N x features), each of length 1."""
    last = network.architecture.nodes[-1].inputs[0]
    pieces = []
    with torch.inference_mode():
        for batch in batches_of(indices, batch_size_for(network)):
            values = network.until(last, as_batch(images[batch]).to(device_of(network)))
            pieces.append(values.flatten(1).float().cpu().numpy())
    found = np.concatenate(pieces)
    normalised: Features = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return normalised


def nearest(queries: Features, candidates: Features, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each query the places of its `count` nearest candidates, the nearest first, and their cosines."""
    cosines = queries @ candidates.T
    places = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return places, np.take_along_axis(cosines, places, axis=1)


def remark(label: str, predicted: str, nearest_labels: list[str]) -> str:
    """What the labels of the nearest training images say about an error."""
    count, same = len(nearest_labels), nearest_labels.count(predicted)
    if 2 * same > count:
        return f"{same} of the {count} nearest training images are {predicted}, too: the label {label} may be wrong"
    own = nearest_labels.count(label)
    if 2 * own > count:
        return (
            f"{own} of the {count} nearest training images are {label}: the features know it, the last layer does not"
        )
    if same + own == count:
        return f"the nearest training images are of both classes: {same} {predicted}, {own} {label}"
    listed = ", ".join(f"{number} {name}" for name, number in Counter(nearest_labels).most_common())
    return f"the nearest training images are of other classes, too: {listed}"
