"""Judging an edit against its control: what it did, how sure one can be, and whether it is kept.

The figure is the mean per-image cross-entropy of the child minus that of the control on the same images: negative is
better. Two things make it uncertain, and the standard error carries both:

- the images: the paired differences vary from image to image, so their mean over n images has variance s²/n;
- the training: the same recipe trained with another seed has another mean. A child and its control with the same seed
  share a good part of that, as they see the same images in the same order, so that they are compared seed by seed. The
  variance of such a difference is pooled over all of the study that was trained with several seeds, together with a
  weak prior in proportion to the loss, since a generation has only one or two of them. What was not trained side by
  side is compared as independent trainings are.

Degrees of freedom follow Welch and Satterthwaite; several edits of a generation are adjusted by Holm (1979).
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special  # scipy.stats takes a second to import

from modules.evaluation.intervals import ALPHA
from modules.evaluation.significance import holm, mcnemar_worse
from modules.records import Interval, Record

POWER = 0.8
_CHILD_SEEDS = 2  # of the best edit of a generation

# The standard deviation between seeds of a slice's mean cross-entropy, in proportion to it, and how many degrees of
# freedom that prior is worth; measured by benchmarks/rank_correlation.py.
PRIOR_NOISE = 0.025
PRIOR_FREEDOM = 4.0

# That of the difference between an edit and its control with the same seed; measured by benchmarks/paired_seeds.py.
PRIOR_PAIRED = 0.015

# The standard deviation, in proportion to the control's loss, of what edits really do; the shrinkage towards zero.
PRIOR_EFFECT = 0.03

# The least loss that anything is in proportion to: float32 hardly tells an image's cross-entropy below it from zero.
LEAST_SCALE = 1e-7


class Evidence(NamedTuple):
    """One recipe trained with one or more seeds, seen on the same n images: arrays of shape (seeds, n)."""

    losses: NDArray[np.float64]
    wrong: NDArray[np.bool_]
    weights: NDArray[np.float64] | float = 1.0  # (n) of the errors, where classes count alike; `losses` have them

    @property
    def seeds(self) -> int:
        """With how many seeds it was trained."""
        return len(self.losses)

    @property
    def loss(self) -> float:
        """Mean cross-entropy over seeds and images."""
        return float(self.losses.mean())

    @property
    def scale(self) -> float:
        """Its loss, as far as noise is in proportion to it: never zero."""
        return max(LEAST_SCALE, self.loss)

    @property
    def error(self) -> float:
        """Misclassified fraction over seeds and images."""
        return float(self.wrong.mean())


class Noise(NamedTuple):
    """The variance between seeds of a training's mean cross-entropy, and the degrees of freedom it is known with."""

    variance: float
    freedom: float

    def at(self, scale: float) -> "Noise":
        """Of trainings that come to a loss of `scale`, where this is in proportion to it."""
        return self._replace(variance=self.variance * scale**2)


class Noises(NamedTuple):
    """Of trainings, and of differences between two with the same seed; None where nothing is trained side by side."""

    seeds: Noise
    pairs: Noise | None

    def at(self, scale: float) -> "Noises":
        """Of trainings that come to a loss of `scale`, where these are in proportion to it."""
        return Noises(self.seeds.at(scale), None if self.pairs is None else self.pairs.at(scale))


def pooled_noise(replicated: Sequence[Sequence[float]], scale: float, prior: float = PRIOR_NOISE) -> Noise:
    """Pool what varies between seeds alone (mean losses, or differences of such) with the prior `prior * scale`."""
    sum_of_squares = PRIOR_FREEDOM * (prior * scale) ** 2
    freedom = PRIOR_FREEDOM
    for losses in replicated:
        sum_of_squares += float(np.square(np.asarray(losses) - np.mean(losses)).sum())
        freedom += len(losses) - 1
    return Noise(sum_of_squares / freedom, freedom)


class Effect(NamedTuple):
    """A difference of mean cross-entropies, its standard error and the degrees of freedom of that."""

    estimate: float
    standard_error: float
    freedom: float

    @property
    def interval(self) -> Interval:
        """The two-sided interval at 95 %."""
        return self.interval_at(ALPHA)

    def interval_at(self, alpha: float) -> Interval:
        """The two-sided interval that is wrong in a part `alpha` of all cases."""
        reach = float(special.stdtrit(self.freedom, 1 - alpha / 2)) * self.standard_error
        return Interval(
            estimate=self.estimate,
            low=self.estimate - reach,
            high=self.estimate + reach,
            standard_error=self.standard_error,
            level=1 - alpha,
        )

    def p_below(self, margin: float) -> float:
        """The one-sided p-value against "the difference is `margin` or more"."""
        if self.standard_error == 0.0:
            return 0.0 if self.estimate < margin else 1.0
        return float(special.stdtr(self.freedom, (self.estimate - margin) / self.standard_error))

    def shrunk_gain(self, scale: float) -> float:
        """The expected gain, shrunk towards zero as if effects had a normal prior of width `PRIOR_EFFECT * scale`."""
        prior = (PRIOR_EFFECT * max(LEAST_SCALE, scale)) ** 2
        return -self.estimate * prior / (prior + self.standard_error**2)


def effect_of(child: Evidence, control: Evidence, noise: Noise) -> Effect:
    """What the child did, compared with a control that was trained independently, on the same images."""
    differences = child.losses.mean(axis=0) - control.losses.mean(axis=0)
    return _effect(differences, noise.variance * (1 / child.seeds + 1 / control.seeds), noise.freedom)


def paired_effect_of(child: Evidence, control: Evidence, noise: Noise) -> Effect:
    """What the child did, compared with its control on the same images, seed by seed as far as both were trained.

    `noise` is that of the difference with a seed.
    """
    pairs = min(child.seeds, control.seeds)
    differences = (child.losses[:pairs] - control.losses[:pairs]).mean(axis=0)
    return _effect(differences, noise.variance / pairs, noise.freedom)


def pair_differences(child: Evidence, control: Evidence) -> tuple[float, ...]:
    """Of the mean losses with each seed that both were trained with."""
    pairs = min(child.seeds, control.seeds)
    return tuple((child.losses[:pairs] - control.losses[:pairs]).mean(axis=1).tolist())


def compared(child: Evidence, control: Evidence, noises: Noises) -> Effect:
    """What the child did, seed by seed where the two were trained side by side."""
    if noises.pairs is None:
        return effect_of(child, control, noises.seeds)
    return paired_effect_of(child, control, noises.pairs)


def _effect(differences: NDArray[np.float64], training: float, freedom: float) -> Effect:
    """Of per-image differences whose mean has the variance `training` on top of that of the images."""
    images = float(differences.var(ddof=1)) / len(differences)
    variance = images + training
    if variance == 0.0:
        return Effect(float(differences.mean()), 0.0, freedom)
    freedom = variance**2 / (training**2 / freedom + images**2 / (len(differences) - 1))
    return Effect(float(differences.mean()), math.sqrt(variance), freedom)


def errs_more(child: Evidence, control: Evidence) -> float:
    """The p-value against "the child errs no more often than the control", by McNemar's test on the first seeds.

    1 where its errors weigh no more: rare classes may be got right at the price of more images of a common one.
    """
    ours, theirs = (float((each.wrong[0] * each.weights).mean()) for each in (child, control))
    return mcnemar_worse(child.wrong[0], control.wrong[0]) if ours > theirs else 1.0


def smallest_effect(control: Evidence, child: Evidence, noises: Noises, num_edits: int) -> float:
    """The gain that a generation of `num_edits` would have seen with power `POWER`, from its own noise."""
    effect = compared(Evidence(child.losses[:1].repeat(_CHILD_SEEDS, 0), child.wrong[:1]), control, noises)
    quantiles = special.stdtrit(effect.freedom, [1 - ALPHA / num_edits, POWER])
    return float(quantiles.sum()) * effect.standard_error


Claim = Literal["better", "not worse"]
Reference = Literal["the control", "the best so far"]


class Verdict(Record):
    """What became of an edit and why."""

    claim: Claim
    against: Reference  # what the claim is about
    effect: Interval  # against the control, whatever the claim is about
    p_value: float  # Holm-adjusted
    passes: bool
    utility: float  # expected gain for its cost, by which passing edits are ranked
    reason: str


class Candidate(NamedTuple):
    """An edit that was trained: its evidence and its costs relative to its parent."""

    evidence: Evidence
    cost_ratio: float  # of its FLOPs to the parent's
    shrinks: bool  # fewer parameters or FLOPs, and more of neither


def judge(
    candidates: Sequence[Candidate], control: Evidence, best: Evidence, noises: Noises, margin: float
) -> list[Verdict]:
    """Judge the edits of a generation on *steer*.

    A growing edit has to be better than the control. A shrinking one has to be not worse, by more than `margin` times
    its loss, than the best that the study has seen, which may be the control; it is then worth what it saves. What is
    shown of either is its effect against the control.
    """
    claims = [_claimed(candidate, control, best, noises, margin) for candidate in candidates]
    adjusted = holm([claimed.p_value for claimed in claims])
    return [
        _verdict(candidate, control, compared(candidate.evidence, control, noises), claimed._replace(p_value=p_value))
        for candidate, claimed, p_value in zip(candidates, claims, adjusted, strict=True)
    ]


class _Claimed(NamedTuple):
    claim: Claim
    against: Reference
    allowed: float  # loss that it may be worse by
    p_value: float


def _claimed(candidate: Candidate, control: Evidence, best: Evidence, noises: Noises, margin: float) -> _Claimed:
    if not candidate.shrinks:
        return _Claimed("better", "the control", 0.0, compared(candidate.evidence, control, noises).p_below(0.0))
    allowed = margin * best.loss
    if best is control:
        p_value = compared(candidate.evidence, control, noises).p_below(allowed)
        return _Claimed("not worse", "the control", allowed, p_value)
    apart = compared(candidate.evidence, best, noises._replace(pairs=None))  # trained in another generation
    return _Claimed("not worse", "the best so far", allowed, apart.p_below(allowed))


def _verdict(candidate: Candidate, control: Evidence, effect: Effect, claimed: _Claimed) -> Verdict:
    claim, against, allowed, p_value = claimed
    guard = errs_more(candidate.evidence, control)
    if guard < ALPHA:
        passes, reason = False, f"it errs more often than the control (McNemar p = {guard:.3f})"
    elif p_value >= ALPHA:
        doubt = f"may be worse than {against} by more than the margin"
        missing = doubt if claim == "not worse" else "no evidence of a gain"
        passes, reason = False, f"{missing} (p = {p_value:.2f})"
    else:
        than = "" if against == "the control" else f" than {against}"
        passes, reason = True, f"{claim}{than} at p = {p_value:.1g}"
    saved = max(0.0, 1.0 - candidate.cost_ratio) * allowed
    return Verdict(
        claim=claim,
        against=against,
        effect=effect.interval,
        p_value=p_value,
        passes=passes,
        utility=(effect.shrunk_gain(control.loss) + saved) / candidate.cost_ratio,
        reason=reason,
    )


def confirms(
    candidate: Candidate, control: Evidence, noises: Noises, margin: float, num_edits: int
) -> tuple[Interval, float]:
    """The effect on *confirm* against the control, and the p-value of that claim, adjusted for the edits' number."""
    effect = compared(candidate.evidence, control, noises)
    allowed = margin * control.loss if candidate.shrinks else 0.0
    return effect.interval, min(1.0, num_edits * effect.p_below(allowed))
