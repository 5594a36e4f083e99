"""What each automation of a study bought: the same plan without it, compared on *confirm*.

Everything is judged by the misclassified fraction, without minus with, on the same images: above zero is what the
automation bought. The standard error carries the images and the noise between seeds, pooled over all that was trained.
Seconds and watt-hours are compared seed by seed.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from modules.records import Interval
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
            bought_wh=None if (wh := _differences(outcome.energy_wh, whole.energy_wh)) is None else float(np.mean(wh)),
            seconds_interval=_interval(_differences(outcome.seconds, whole.seconds)),
            wh_interval=_interval(wh),
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


def _differences(without: Sequence[float | None], whole: Sequence[float | None]) -> list[float] | None:
    """Seed by seed; None where one is not known."""
    pairs = list(zip(without, whole, strict=True))
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    return [one - other for one, other in known] if len(known) == len(pairs) else None


def _interval(differences: Sequence[float] | None) -> Interval | None:
    """Of their mean by Student's t; None where there are too few for one."""
    if differences is None or len(differences) < 2:
        return None
    mean, error = float(np.mean(differences)), float(np.std(differences, ddof=1) / np.sqrt(len(differences)))
    reach = float(special.stdtrit(len(differences) - 1, 0.975)) * error
    return Interval(estimate=mean, low=mean - reach, high=mean + reach, standard_error=error)
