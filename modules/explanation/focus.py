"""Where maps point, as figures: a place that all of them share, and how two models differ in where they look."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modules.explanation.records import Focus

Maps = NDArray[np.floating]

_WINDOW = 4  # the window's side is the image's divided by this
_SUSPICIOUS_SHARE = 0.25  # of what speaks for the classes, in a sixteenth of the image, at its edge
_SUSPICIOUS_MIDDLE = 0.25  # the window's centre lies in the outer quarter of both sides


def shares(maps: Maps) -> NDArray[np.float64]:
    """What speaks for the class, as a share of all that does (N x H x W); zeros where nothing does."""
    positive = np.maximum(maps, 0).astype(np.float64)
    totals = positive.sum(axis=(1, 2), keepdims=True)
    result: NDArray[np.float64] = np.divide(positive, totals, out=np.zeros_like(positive), where=totals > 0)
    return result


def find_focus(method: str, maps: Maps) -> Focus:
    """The window of a sixteenth of the image that holds the largest share, over all images.

    One in a corner that holds much is suspicious: things lie in the middle of images, marks in their corners.
    """
    mean = shares(maps).mean(axis=0)
    height, width = (max(1, round(side / _WINDOW)) for side in mean.shape)
    windows = np.lib.stride_tricks.sliding_window_view(mean, (height, width)).sum(axis=(2, 3))
    top, left = (int(place) for place in np.unravel_index(windows.argmax(), windows.shape))
    share = float(windows[top, left])
    vertical, horizontal = (
        _third(first, side, whole)
        for first, side, whole in ((top, height, mean.shape[0]), (left, width, mean.shape[1]))
    )
    suspicious = share >= _SUSPICIOUS_SHARE and vertical != "middle" and horizontal != "middle"
    place = _place(vertical, horizontal)
    area = height * width / mean.size
    sentence = (
        f"{method.replace('_', ' ')}: {share:.0%} of what speaks for the predicted classes lies in {area:.0%} of the "
        f"image, {place} (rows {top + 1} to {top + height}, columns {left + 1} to {left + width})"
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


class Difference(NamedTuple):
    """How differently two models look at the same images: 0 the same places, 1 none in common."""

    distances: NDArray[np.float64]  # of each image: the total variation distance of the shares
    mean: float
    furthest: NDArray[np.int64]  # images, the most different first


def compare_attention(maps: Maps, others: Maps) -> Difference:
    """Two models' maps of the same images by the same method: a challenger's and the live model's, say."""
    distances = np.abs(shares(maps) - shares(others)).sum(axis=(1, 2)) / 2
    return Difference(distances, float(distances.mean()), np.argsort(-distances, kind="stable"))
