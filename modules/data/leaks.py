"""Leaks between parts: an image that is in two of them, exactly or nearly, is left out of the one that judges less.

A training image that is also among those of steer, confirm or test is not trained on; one of steer that is also in
confirm or test does not judge. A given test set stays as it is. This holds for the parts that a set brings and for
those that it is split into, where the coarse key of `parts` keeps most such images together, but not all.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modules.data.duplicates import Rows, find_twins
from modules.data.images import RawImages
from modules.data.parts import PARTS, content_hashes

REVISION = 2  # 2: within what a given part is split into

_WORDS = {"train": "Training", "validation": "Validation"}
_NAMED = 3  # images that a note names; all are in the table of what was left out


@dataclass(frozen=True)
class Inner:
    """Of the images of a given part: which stay once it is split; and what is said of the others."""

    stays: NDArray[np.bool_]
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Leaks:
    """Of each given part: what its images are called, their identities, which of them stay; and of the others, why."""

    names: dict[str, list[str]]
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
    return Leaks(names, identities, stays, tuple(left_out), tuple(notes))


def find_inner_leaks(
    images: NDArray[np.uint8],
    identities: NDArray[np.uint64],
    parts: NDArray[np.uint8],
    stays: NDArray[np.bool_],
    names: Sequence[str],
) -> Inner:
    """Compare the parts that a given one was split into; `parts` are codes, of which a higher one judges more."""
    stays = stays.copy()
    left_out: list[tuple[str, str]] = []
    notes: list[str] = []
    for code in range(parts.max(initial=0)):
        ours, others = np.flatnonzero(stays & (parts == code)), np.flatnonzero(stays & (parts > code))
        if len(ours) == 0 or len(others) == 0:
            continue
        twins = find_twins(Rows(images, ours), identities[ours], Rows(images, others), identities[others])
        stays[ours[[twin.row for twin in twins]]] = False
        leaks = [(names[ours[twin.row]], f"nearly the same as {names[others[twin.other]]}") for twin in twins]
        left_out += leaks
        if leaks:
            notes.append(
                f"Images of {PARTS[code]} left out because a part that judges it has nearly the same: {len(leaks)} "
                f"({_named(leaks)})."
            )
    return Inner(stays, tuple(left_out), tuple(notes))


def _note(given: str, other: str, leaks: list[tuple[str, str]], kinds: Counter[bool]) -> str:
    return (
        f"{_WORDS[given]} images left out because the given {other} set has them too: {len(leaks)}, of which "
        f"{kinds[True]} exactly and {kinds[False]} nearly ({_named(leaks)})."
    )


def _named(leaks: list[tuple[str, str]]) -> str:
    named = "; ".join(f"{name}: {reason}" for name, reason in leaks[:_NAMED])
    return f"{named}{'; …' if len(leaks) > _NAMED else ''}"


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
