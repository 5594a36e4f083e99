"""What each automation of a study bought: the same plan without it, compared on *confirm*.

Everything is judged by the misclassified fraction, without minus with, on the same images: above zero is what the
automation bought. The standard error carries the images and the noise between seeds, pooled over all that was trained.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from modules.search.credits import Contribution, Credits
from modules.search.judging import Evidence, effect_of, pooled_noise


class Outcome(NamedTuple):
    """What one variant of a study ended with, a seed each: errors of shape (seeds, images), and what it took."""

    wrong: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]"
    seconds: tuple[float, ...]
    params: tuple[int, ...]
    energy_wh: tuple[float | None, ...]

    @property
    def error(self) -> float:
        """The misclassified fraction over seeds and images."""
        return float(self.wrong.mean())


def contributions(
    study: str,
    seeds: Sequence[int],
    samples: int,
    whole: Outcome,
    without: Mapping[str, tuple[str, Outcome]],
    unused: Sequence[str] = (),
) -> Credits:
    """Compare each variant with the whole; most first."""
    outcomes = [whole, *(outcome for _, outcome in without.values())]
    noise = pooled_noise([list(map(float, each.wrong.mean(axis=1))) for each in outcomes], whole.error)
    reference = _evidence(whole)
    found = [
        Contribution(
            name=name,
            what=what,
            error=outcome.error,
            bought_error=effect_of(_evidence(outcome), reference, noise).interval,
            bought_seconds=float(np.mean(outcome.seconds) - np.mean(whole.seconds)),
            bought_wh=_difference(outcome.energy_wh, whole.energy_wh),
            params=float(np.mean(outcome.params)),
        )
        for name, (what, outcome) in without.items()
    ]
    return Credits(
        study=study,
        seeds=tuple(seeds),
        samples=samples,
        num_images=whole.wrong.shape[1],
        error=whole.error,
        seconds=float(np.mean(whole.seconds)),
        contributions=tuple(sorted(found, key=lambda one: -one.bought_error.estimate)),
        unused=tuple(unused),
    )


def _evidence(outcome: Outcome) -> Evidence:
    """Errors in the place of losses, so that the judging's interval is one of errors."""
    return Evidence(outcome.wrong.astype(np.float64), outcome.wrong)


def _difference(without: Sequence[float | None], whole: Sequence[float | None]) -> float | None:
    if None in without or None in whole:
        return None
    return float(np.mean([each for each in without if each is not None]) - np.mean([w for w in whole if w is not None]))
