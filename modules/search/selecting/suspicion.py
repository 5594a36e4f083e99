"""Whose labels are suspected: of the training images, and of those that edits are judged on."""

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from modules.data.arrays import image_names
from modules.data.corrections import SuspectedLabel, identity_text
from modules.records import PartName
from modules.search.selecting.cross_validation import CrossValidation
from modules.selection.label_errors import Rule, Suspects, find_suspects

SEARCHED: tuple[PartName, ...] = tuple(part for part in get_args(PartName) if part != "test")
WORTH_CLEANING = 0.005  # of the training images; below, leaving the suspects out can hardly be seen


def suspects_by_part(validation: CrossValidation, rule: Rule, confidence: float) -> dict[PartName, Suspects]:
    """The suspects among training, *steer* and *confirm*; what is not trained on all networks are asked about.

    Looking at *confirm* decides nothing: it lets a person correct its labels and read its figures without them. The
    test set is not looked at.
    """
    arrays = validation.workplace.arrays
    found: dict[PartName, Suspects] = {}
    for part in SEARCHED:
        labels = arrays.labels[arrays.indices(part)]
        said = validation.out_of_sample() if part == "train" else validation.mean_of(part)
        found[part] = find_suspects(labels, said.astype(np.float64), rule, confidence)
    return found


def listed(validation: CrossValidation, suspects: dict[PartName, Suspects]) -> tuple[SuspectedLabel, ...]:
    """All suspects as a person gets to see them, part by part, the surest first."""
    laboratory = validation.workplace.laboratory
    arrays, classes = validation.workplace.arrays, laboratory.data.classes
    names = image_names(laboratory.home, laboratory.data)
    rows = []
    for part, found in suspects.items():
        places = arrays.indices(part)[found.indices]
        for place, suggested, confidence in zip(places, found.suggested, found.confidence, strict=True):
            rows.append(
                SuspectedLabel(
                    identity=identity_text(arrays.identities[place]),
                    index=int(place),
                    file=names[place] if names else "",
                    part=part,
                    given=classes[int(arrays.labels[place])],
                    suggested=classes[int(suggested)],
                    confidence=float(confidence),
                )
            )
    return tuple(rows)


def without_suspects(labels: NDArray[np.int64], suspects: Suspects) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """The indices of labels that are not suspected, and the classes of which all images stay.

    A class of which more than half would go keeps all its images: the networks do not know it, and no selection may
    lose a class.
    """
    suspected = np.zeros(len(labels), dtype=bool)
    suspected[suspects.indices] = True
    spared = [int(label) for label in np.unique(labels) if suspected[labels == label].mean() > 0.5]
    return np.flatnonzero(~suspected | np.isin(labels, spared)), tuple(spared)
