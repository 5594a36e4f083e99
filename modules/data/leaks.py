"""Leaks between the parts that a set brings: images that are in two of them are left out of the one that judges less.

A training image that is also among the validation or test images, exactly or nearly, is not trained on; a validation
image that is also a test image does not judge. A given test set stays as it is.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modules.data.duplicates import find_twins
from modules.data.images import RawImages
from modules.data.parts import content_hashes

REVISION = 1

_WORDS = {"train": "Training", "validation": "Validation"}
_NAMED = 3  # images that a note names; all are in the table of what was left out


@dataclass(frozen=True)
class Leaks:
    """Of each given part: the identities of its images and which of them stay; and what is said of the others."""

    identities: dict[str, NDArray[np.uint64]]
    stays: dict[str, NDArray[np.bool_]]
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def find_leaks(raw: RawImages) -> Leaks:
    """Compare every given part with those that judge it."""
    pieces = list(raw.pieces())
    names = _names(raw)
    identities = {given: content_hashes(images) for given, images, _ in pieces}
    stays = {given: np.ones(len(labels), dtype=bool) for given, _, labels in pieces}
    left_out: list[tuple[str, str]] = []
    notes: list[str] = []
    for place, (given, images, _) in enumerate(pieces):
        for other, other_images, _ in pieces[place + 1 :]:
            twins = find_twins(images, identities[given], other_images, identities[other])
            twins = [twin for twin in twins if stays[given][twin.row]]
            stays[given][[twin.row for twin in twins]] = False
            leaks = [
                (names[given][twin.row], f"{'' if twin.exact else 'nearly '}the same as {names[other][twin.other]}")
                for twin in twins
            ]
            left_out += leaks
            if leaks:
                notes.append(_note(given, other, leaks, Counter(twin.exact for twin in twins)))
    return Leaks(identities, stays, tuple(left_out), tuple(notes))


def _note(given: str, other: str, leaks: list[tuple[str, str]], kinds: Counter[bool]) -> str:
    named = "; ".join(f"{name}: {reason}" for name, reason in leaks[:_NAMED])
    return (
        f"{_WORDS[given]} images left out because the given {other} set has them too: {len(leaks)}, of which "
        f"{kinds[True]} exactly and {kinds[False]} nearly ({named}{'; …' if len(leaks) > _NAMED else ''})."
    )


def _names(raw: RawImages) -> dict[str, list[str]]:
    """Of each given part, by row: what the files are called, or which image it is."""
    start, names = 0, {}
    for given, _, labels in raw.pieces():
        end = start + len(labels)
        names[given] = (
            list(raw.names[start:end]) if raw.names else [f"{given} image {row}" for row in range(len(labels))]
        )
        start = end
    return names
