"""What each automation of a study bought: the same plan without it, compared on *confirm*.

Everything is judged by the misclassified fraction, without minus with, on the same images: above zero is what the
automation bought. The standard error carries the images and the noise between seeds, pooled over all that was trained.
Variants share their seeds, but how much of the noise of whole trainings that makes them share was not measured: they
are compared as independent trainings are, which is on the safe side. As it is said which of them bought something, the
intervals are widened by Bonferroni, so that all of them hold together at 95 %.

Seconds and watt-hours are compared seed by seed, each at 95 %. They are those of trials: what a range test takes is not
written down, so that it is missing where the learning rate or a race is what was left out.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from modules.evaluation.intervals import ALPHA
from modules.records import Interval
from modules.search.credits import Contribution, Credits
from modules.search.judging import PRIOR_NOISE, Effect, Evidence, Noise, effect_of, pooled_noise


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
    obstacles: Sequence[tuple[str, str]] = (),
) -> Credits:
    """Compare each variant with the whole; most first."""
    found = []
    if without:
        noise = _noise([whole, *(outcome for _, outcome in without.values())], whole.error)
        alpha = ALPHA / len(without)
        found = [_contribution(name, what, outcome, whole, noise, alpha) for name, (what, outcome) in without.items()]
    return Credits(
        study=study,
        seeds=tuple(seeds),
        samples=samples,
        num_images=whole.wrong.shape[1],
        error=whole.error,
        seconds=float(np.mean(whole.seconds)),
        contributions=tuple(sorted(found, key=lambda one: -one.bought_error.estimate)),
        unused=tuple(unused),
        obstacles=tuple(obstacles),
    )


def _contribution(name: str, what: str, outcome: Outcome, whole: Outcome, noise: Noise, alpha: float) -> Contribution:
    effect = effect_of(_evidence(outcome), _evidence(whole), noise)
    wh = _differences(outcome.energy_wh, whole.energy_wh)
    return Contribution(
        name=name,
        what=what,
        error=outcome.error,
        bought_error=effect.interval_at(alpha),
        bought_seconds=float(np.mean(outcome.seconds) - np.mean(whole.seconds)),
        bought_wh=None if wh is None else float(np.mean(wh)),
        seconds_interval=_over_seeds(_differences(outcome.seconds, whole.seconds)),
        wh_interval=_over_seeds(wh),
        params=float(np.mean(outcome.params)),
    )


def _noise(outcomes: Sequence[Outcome], error: float) -> Noise:
    """Between seeds, of a training's error: pooled over all outcomes with a prior.

    The prior is the judging's, which was measured on losses after a slice, and chance: what varies if each image that
    trainings disagree on falls either way by itself. Where few images are wrong chance is the larger part. The variance
    of the images has it too; that it counts twice leaves room for what whole trainings differ by besides. With 8 % of
    the error, as three of experiment=fast on MNIST did, something false is said of 2 to 4 % of simulated studies, where
    the judging's prior alone would say it of 3 to 19 %.
    """
    means = [each.wrong.mean(axis=1).tolist() for each in outcomes]
    return pooled_noise(means, float(np.hypot(PRIOR_NOISE * error, np.sqrt(_chance(outcomes)))), prior=1.0)


def _chance(outcomes: Sequence[Outcome]) -> float:
    """The variance of a training's error by the images that seeds disagree on; with one seed, that variants do."""
    groups = [each.wrong for each in outcomes]
    groups = groups if len(groups[0]) > 1 else [np.concatenate(groups)]
    return float(np.mean([group.var(axis=0, ddof=1).mean() for group in groups])) / groups[0].shape[1]


def _evidence(outcome: Outcome) -> Evidence:
    """Errors in the place of losses, so that the judging's interval is one of errors."""
    return Evidence(outcome.wrong.astype(np.float64), outcome.wrong)


def _differences(without: Sequence[float | None], whole: Sequence[float | None]) -> list[float] | None:
    """Seed by seed; None where one is not known."""
    pairs = list(zip(without, whole, strict=True))
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    return [one - other for one, other in known] if len(known) == len(pairs) else None


def _over_seeds(differences: Sequence[float] | None) -> Interval | None:
    """Of their mean; None where there are too few for one."""
    if differences is None or len(differences) < 2:
        return None
    error = float(np.std(differences, ddof=1) / np.sqrt(len(differences)))
    return Effect(float(np.mean(differences)), error, len(differences) - 1).interval
