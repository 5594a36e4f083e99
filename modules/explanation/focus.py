"""Where maps point, as figures: a place that all of them share, or a corner that those of a class do."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modules.explanation.records import Focus

Maps = NDArray[np.floating]

_WINDOW = 4  # the window's side is the image's divided by this
_SUSPICIOUS_SHARE = 0.25  # of what speaks for the classes, in a sixteenth of the image, at its edge
_SUSPICIOUS_MIDDLE = 0.25  # the window's centre lies in the outer quarter of both sides
_LEAST_IMAGES = 2  # of a class: what a single one shows may lie in its corner


def shares(maps: Maps) -> NDArray[np.float64]:
    """What speaks for the class, as a share of all that does (N x H x W); zeros where nothing does."""
    positive = np.maximum(maps, 0).astype(np.float64)
    totals = positive.sum(axis=(1, 2), keepdims=True)
    result: NDArray[np.float64] = np.divide(positive, totals, out=np.zeros_like(positive), where=totals > 0)
    return result


def find_focus(method: str, maps: Maps, predicted: NDArray[np.int64], names: Sequence[str]) -> tuple[Focus, ...]:
    """The window of a sixteenth of the image that holds the largest share, over all images; then suspicious corners.

    A corner that holds much is suspicious, be it over all images or in most of those taken for one class (`predicted`,
    N): things lie in the middle of images, marks in their corners.
    """
    held = _held(shares(maps))
    seen = [(held.mean(axis=0), "", "of what speaks for the predicted classes")]
    for label in np.unique(predicted):
        own = held[predicted == label]
        if len(own) >= _LEAST_IMAGES:
            in_most = np.quantile(own, 0.5, axis=0, method="lower")
            seen.append((in_most, f"in most images taken for {names[label]}, ", "or more of what speaks for it"))
    shape = maps.shape[1:]
    found = [_focus(method, shape, *seen[0])]
    for values, where, of_what in seen:
        corner = _focus(method, shape, np.where(_corners(shape), values, 0.0), where, of_what)
        if corner.suspicious and corner.place not in {focus.place for focus in found if focus.suspicious}:
            found.append(corner)
    return tuple(found)


def _held(seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the window holds of each image, by its first row and column: N x tops x lefts."""
    height, width = _window(seen.shape[1:])
    sums = np.pad(seen.cumsum(axis=1).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))
    rows = sums[:, height:] - sums[:, :-height]
    held: NDArray[np.float64] = rows[:, :, width:] - rows[:, :, :-width]
    return held


def _window(shape: tuple[int, ...]) -> tuple[int, int]:
    height, width = (max(1, round(side / _WINDOW)) for side in shape)
    return height, width


def _corners(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether the window lies in a corner, by its first row and column."""
    outer = [
        [_third(first, side, whole) != "middle" for first in range(whole - side + 1)]
        for side, whole in zip(_window(shape), shape, strict=True)
    ]
    return np.logical_and.outer(*outer)


def _focus(method: str, shape: tuple[int, ...], held: NDArray[np.float64], where: str, of_what: str) -> Focus:
    """The window that holds most."""
    height, width = _window(shape)
    top, left = (int(place) for place in np.unravel_index(held.argmax(), held.shape))
    share, area = float(held[top, left]), height * width / (shape[0] * shape[1])
    vertical, horizontal = _third(top, height, shape[0]), _third(left, width, shape[1])
    suspicious = share >= _SUSPICIOUS_SHARE and vertical != "middle" and horizontal != "middle"
    place = _place(vertical, horizontal)
    sentence = (
        f"{method.replace('_', ' ')}: {where}{share:.0%} {of_what} lies in {area:.0%} of the image, {place} (rows "
        f"{top + 1} to {top + height}, columns {left + 1} to {left + width})"
    )
    if suspicious:
        sentence += ": is there a mark that gives the class away?"
    return Focus(
        method=method,
        share=share,
        area=area,
        place=place,
        rows=(top + 1, top + height),
        columns=(left + 1, left + width),
        suspicious=suspicious,
        sentence=sentence,
    )


def _third(first: int, side: int, whole: int) -> str:
    centre = (first + side / 2) / whole
    if centre <= _SUSPICIOUS_MIDDLE:
        return "first"
    return "last" if centre >= 1 - _SUSPICIOUS_MIDDLE else "middle"


def _place(vertical: str, horizontal: str) -> str:
    rows = {"first": "top", "middle": "", "last": "bottom"}[vertical]
    columns = {"first": "left", "middle": "", "last": "right"}[horizontal]
    if rows and columns:
        return f"its {rows} {columns} corner"
    return f"its {rows or columns} edge" if rows or columns else "its middle"
