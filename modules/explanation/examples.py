"""Which images are worth a look: of each class a typical one, the most confident error and a borderline case."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modules.evaluation.outputs import Outputs
from modules.explanation.records import Kind


class Pick(NamedTuple):
    """An image by its place among the outputs."""

    place: int
    kind: Kind


def pick_examples(outputs: Outputs, most: int) -> tuple[Pick, ...]:
    """At most so many; where that is less than all, classes with more errors come first. Each image is picked once."""
    picked: dict[int, Pick] = {}
    for label in _classes_by_errors(outputs):
        for pick in _of_class(outputs, label):
            if len(picked) < most:
                picked.setdefault(pick.place, pick)
    return tuple(sorted(picked.values(), key=lambda pick: (outputs.labels[pick.place], pick.place)))


def _classes_by_errors(outputs: Outputs) -> NDArray[np.int64]:
    errors = np.bincount(outputs.labels, weights=outputs.wrong)
    present = np.unique(outputs.labels)
    ordered: NDArray[np.int64] = present[np.argsort(-errors[present], kind="stable")]
    return ordered


def _of_class(outputs: Outputs, label: int) -> list[Pick]:
    mine = np.flatnonzero(outputs.labels == label)
    confidences = outputs.probabilities[mine].max(axis=1)
    ordered = np.sort(outputs.probabilities[mine], axis=1)
    margins = ordered[:, -1] - ordered[:, -2]
    wrong = outputs.wrong[mine]
    picks = []
    if wrong.any():
        picks.append(Pick(int(mine[np.flatnonzero(wrong)[confidences[wrong].argmax()]]), "confident error"))
    if (~wrong).any():
        right = np.flatnonzero(~wrong)
        middle = right[np.argsort(confidences[right], kind="stable")[len(right) // 2]]
        picks.append(Pick(int(mine[middle]), "typical"))
    picks.append(Pick(int(mine[margins.argmin()]), "borderline"))
    return picks


class Pair(NamedTuple):
    """A class, the one it was taken for, and the places of such images, the most confident first."""

    label: int
    predicted: int
    places: NDArray[np.int64]


def confused_pairs(outputs: Outputs, most: int) -> list[Pair]:
    """The pairs of classes that were mixed up most often."""
    wrong = np.flatnonzero(outputs.wrong)
    predicted, confidences = outputs.predicted, outputs.probabilities.max(axis=1)
    found: dict[tuple[int, int], list[int]] = {}
    for place in wrong[np.argsort(-confidences[wrong], kind="stable")]:
        found.setdefault((int(outputs.labels[place]), int(predicted[place])), []).append(int(place))
    ranked = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return [Pair(*pair, np.array(places)) for pair, places in ranked[:most]]
