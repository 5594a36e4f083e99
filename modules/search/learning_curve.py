"""Whether more images would help: the error of a head as a function of how many images it was fitted to.

A power law, `error = a * images ** -b`, which learning curves mostly follow over a decade or so (Hestness et al. 2017,
arXiv:1712.00409), fitted to logarithms by least squares and trusted for twice to four times the images at most.
"""

import math
from collections.abc import Sequence

import numpy as np

from modules.records import Record

_FURTHEST = (2, 4)  # times the images
_QUANTILE = 0.975  # of Student's t: the spread is that of a few draws


class CurveFit(Record):
    """What a power law says of more images: error at `images`, and its 95 % interval."""

    points: tuple[tuple[int, float], ...]  # images, mean error
    exponent: float  # the error falls with this power
    predicted: tuple[tuple[int, float, float, float], ...]  # images, error, its interval

    @property
    def sentence(self) -> str:
        """What a person wants to know."""
        if not self.predicted:
            return "the learning curve has too few points to say whether more images would help"
        (twice, error, low, high), *_ = self.predicted
        now = self.points[-1][1]
        if high >= now:
            return f"more images: {twice:,} would bring a head from {now:.1%} to {low:.1%} to {high:.1%}: maybe nothing"
        return (
            f"more images would help: {twice:,} would bring a head from {now:.1%} to about {error:.1%} "
            f"({low:.1%} to {high:.1%})"
        )


def fit_curve(measured: Sequence[tuple[int, float]], images_now: int | None = None) -> CurveFit:
    """Fit the law to errors that were measured, several for each number of images.

    What is predicted is for twice and four times `images_now`; None: times the largest number.
    """
    from scipy import special  # pages that only show a curve import this module, too

    numbers = sorted({images for images, _ in measured})
    points = tuple((n, float(np.mean([error for images, error in measured if images == n]))) for n in numbers)
    usable = [(images, error) for images, error in measured if error > 0]
    if len({images for images, _ in usable}) < 3:
        return CurveFit(points=points, exponent=0.0, predicted=())
    x, y = np.log([images for images, _ in usable]), np.log([error for _, error in usable])
    design = np.stack([np.ones_like(x), x], axis=1)
    solution, *_ = np.linalg.lstsq(design, y, rcond=None)
    residual = y - design @ solution
    freedom = len(y) - 2
    covariance = float(residual @ residual) / freedom * np.linalg.inv(design.T @ design)
    quantile = float(special.stdtrit(freedom, _QUANTILE))
    predicted = []
    for factor in _FURTHEST:
        images = factor * (images_now or numbers[-1])
        row = np.array([1.0, math.log(images)])
        error, spread = float(row @ solution), quantile * math.sqrt(float(row @ covariance @ row))
        predicted.append((images, math.exp(error), math.exp(error - spread), min(1.0, math.exp(error + spread))))
    return CurveFit(points=points, exponent=-float(solution[1]), predicted=tuple(predicted))
