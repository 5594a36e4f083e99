import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from modules.evaluation.intervals import ALPHA
from modules.search.judging import (
    PRIOR_EFFECT,
    PRIOR_FREEDOM,
    PRIOR_NOISE,
    PRIOR_PAIRED,
    Candidate,
    Effect,
    Evidence,
    Noise,
    Noises,
    confirms,
    effect_of,
    judge,
    pair_differences,
    paired_effect_of,
    pooled_noise,
    smallest_effect,
)


def test_noise_without_replicates_is_the_prior():
    assert pooled_noise([], 0.5) == Noise(pytest.approx((PRIOR_NOISE * 0.5) ** 2), PRIOR_FREEDOM)
    assert pooled_noise([[0.4]], 0.5) == pooled_noise([], 0.5)  # one seed says nothing of the noise


def test_noise_pools_by_hand():
    noise = pooled_noise([[0.50, 0.52], [0.40, 0.43, 0.46]], 0.5)
    squares = 0.0002 + 0.0018
    assert noise.freedom == PRIOR_FREEDOM + 1 + 2
    assert noise.variance == pytest.approx((PRIOR_FREEDOM * (PRIOR_NOISE * 0.5) ** 2 + squares) / noise.freedom)


def test_many_replicates_outweigh_the_prior():
    random = np.random.default_rng(0)
    noise = pooled_noise(list(random.normal(1.0, 0.1, (2000, 2))), 1.0)
    assert noise.variance == pytest.approx(0.01, rel=0.1)


@given(st.floats(-1, 1), st.floats(1e-4, 1), st.floats(0.1, 3))
def test_shrinkage_is_towards_zero_and_never_past_it(estimate, error, scale):
    gain = Effect(estimate, error, 10).shrunk_gain(scale)
    assert abs(gain) <= abs(estimate)
    assert gain * -estimate >= 0
    assert abs(Effect(estimate, 2 * error, 10).shrunk_gain(scale)) <= abs(gain)


def test_shrinkage_by_hand():
    # as wide a prior as the standard error: one half is believed
    assert Effect(-0.01, PRIOR_EFFECT, 10).shrunk_gain(1.0) == pytest.approx(0.005)


def test_nothing_is_gained_where_nothing_is_lost_and_nothing_is_uncertain():
    assert Effect(0.0, 0.0, 10).shrunk_gain(0.0) == 0.0


def test_shrinkage_is_the_posterior_mean():
    """Effects drawn from the prior, seen with noise: of those seen near a value, the mean is what shrinkage says."""
    random = np.random.default_rng(0)
    true = random.normal(0, PRIOR_EFFECT, 400_000)
    seen = true + random.normal(0, 0.02, true.size)
    near = np.abs(seen + 0.03) < 0.002
    assert -true[near].mean() == pytest.approx(Effect(-0.03, 0.02, 10).shrunk_gain(1.0), rel=0.03)


IMAGES = 400


def evidence(random, offsets, loss=1.0, effect=0.0, spread=0.3, difficulty=None, error=0.1) -> Evidence:
    """Losses of `len(offsets)` seeds: what is hard is hard for all, each image answers to an edit in its own way."""
    difficulty = np.zeros(IMAGES) if difficulty is None else difficulty
    own = random.normal(0, spread, IMAGES)
    losses = loss + effect + difficulty + own + np.asarray(offsets)[:, None]
    return Evidence(losses, random.random(losses.shape) < error)


def simulated_effects(child_seeds, training_noise, spread, runs, replicates=None):
    """Estimates and intervals of an effect of -0.01, with known or with estimated noise of training."""
    random = np.random.default_rng(child_seeds)
    intervals = []
    for _ in range(runs):
        difficulty = random.normal(0, 1, IMAGES)
        control = evidence(random, random.normal(0, training_noise, 2), spread=0.0, difficulty=difficulty)
        offsets = random.normal(0, training_noise, child_seeds)
        child = evidence(random, offsets, effect=-0.01, spread=spread, difficulty=difficulty)
        noise = Noise(training_noise**2, 1e6)
        if replicates is not None:
            measured = random.normal(1.0, training_noise, (replicates, 2))
            noise = pooled_noise([control.losses.mean(axis=1), *measured], 1.0)
        intervals.append(effect_of(child, control, noise).interval)
    return intervals


@pytest.mark.parametrize(
    ("child_seeds", "training_noise", "spread", "replicates"),
    [
        (1, 0.02, 0.0, None),  # training alone is uncertain
        (1, 0.0, 0.4, None),  # the images alone
        (1, 0.02, 0.4, None),  # both alike
        (2, 0.02, 0.4, None),
        (2, 0.02, 0.4, 6),  # the noise is estimated, and as the prior expects
    ],
)
def test_intervals_cover_the_truth_as_often_as_they_say(child_seeds, training_noise, spread, replicates):
    found = simulated_effects(child_seeds, training_noise, spread, 1000, replicates)
    covered = np.mean([interval.low <= -0.01 <= interval.high for interval in found])
    assert 0.93 <= covered <= 0.97
    spread_of_estimates = np.std([interval.estimate for interval in found])
    assert np.sqrt(np.mean([interval.standard_error**2 for interval in found])) == pytest.approx(
        spread_of_estimates, rel=0.08
    )


def test_a_noise_that_is_hardly_known_makes_wider_intervals():
    found = simulated_effects(1, PRIOR_NOISE, 0.1, 500, replicates=0)
    assert np.mean([interval.low <= -0.01 <= interval.high for interval in found]) >= 0.95


def test_an_interval_by_hand():
    child = Evidence(np.array([[1.0, 2.0, 4.0]]), np.zeros((1, 3), bool))
    control = Evidence(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]]), np.zeros((2, 3), bool))
    effect = effect_of(child, control, Noise(0.02, 5.0))
    differences = [0.0, 0.0, 0.5]
    images, training = np.var(differences, ddof=1) / 3, 0.02 * 1.5
    assert effect.estimate == pytest.approx(0.5 / 3)
    assert effect.standard_error == pytest.approx(math.sqrt(images + training))
    assert effect.freedom == pytest.approx((images + training) ** 2 / (training**2 / 5 + images**2 / 2))
    interval = effect.interval
    assert interval.high - interval.low == pytest.approx(2 * stats.t.ppf(0.975, effect.freedom) * effect.standard_error)
    assert effect.p_below(0.0) == pytest.approx(stats.t.cdf(effect.estimate / effect.standard_error, effect.freedom))


def test_without_any_noise_an_effect_is_certain():
    same = Evidence(np.ones((1, 5)), np.zeros((1, 5), bool))
    better = Evidence(np.full((1, 5), 0.5), np.zeros((1, 5), bool))
    none = Noise(0.0, 4.0)
    assert effect_of(better, same, none).interval.high == -0.5
    assert effect_of(better, same, none).p_below(0.0) == 0.0
    assert effect_of(same, same, none).p_below(0.0) == 1.0


def placebo_generation(random, training_noise, num_edits, replicated):
    """A generation of edits that do nothing, judged as the flow does: the best of them is trained a second time."""
    difficulty = random.normal(0, 1, IMAGES)

    def trained(offsets):
        return evidence(random, offsets, spread=0.05, difficulty=difficulty)

    control = trained(random.normal(0, training_noise, 2))
    noise = pooled_noise([*replicated, control.losses.mean(axis=1)], control.loss)
    first = random.normal(0, training_noise, num_edits)
    best = int(np.argmin(first))
    children = [
        trained([offset, random.normal(0, training_noise)] if index == best else [offset])
        for index, offset in enumerate(first)
    ]
    candidates = [Candidate(child, cost_ratio=1.1, shrinks=False) for child in children]
    return judge(candidates, control, control, Noises(noise, None), margin=0.05)


def paired_generation(random, paired_noise, num_edits, replicated=()):
    """The same, with what a child shares with the control of its seed."""
    difficulty = random.normal(0, 1, IMAGES)

    def trained(offsets):
        return evidence(random, offsets, spread=0.05, difficulty=difficulty)

    shared = random.normal(0, PRIOR_NOISE, 2)
    control = trained(shared)
    first = random.normal(0, paired_noise, num_edits)
    best = int(np.argmin(first))
    own = [
        [offset, random.normal(0, paired_noise)] if index == best else [offset] for index, offset in enumerate(first)
    ]
    children = [trained(shared[: len(offsets)] + offsets) for offsets in own]
    pairs = pooled_noise([*replicated, pair_differences(children[best], control)], control.loss, PRIOR_PAIRED)
    noises = Noises(pooled_noise([control.losses.mean(axis=1)], control.loss), pairs)
    candidates = [Candidate(child, cost_ratio=1.1, shrinks=False) for child in children]
    return judge(candidates, control, control, noises, margin=0.05)


@pytest.mark.parametrize("num_edits", [1, 3])
def test_of_generations_of_placebos_compared_seed_by_seed_at_most_one_in_twenty_keeps_one(num_edits):
    random = np.random.default_rng(num_edits)
    found = [paired_generation(random, PRIOR_PAIRED, num_edits) for _ in range(500)]
    assert np.mean([any(verdict.passes for verdict in verdicts) for verdicts in found]) <= 0.05


def test_pairs_that_share_less_than_supposed_correct_the_prior_in_time():
    random, passed = np.random.default_rng(7), []
    for _ in range(500):
        verdicts = paired_generation(random, 3 * PRIOR_PAIRED, 3, random.normal(0, 3 * PRIOR_PAIRED, (40, 2)))
        passed.append(any(verdict.passes for verdict in verdicts))
    assert np.mean(passed) <= 0.05


def test_an_effect_seed_by_seed_by_hand():
    child = Evidence(np.array([[1.0, 2.0, 4.0]]), np.zeros((1, 3), bool))
    control = Evidence(np.array([[1.0, 2.0, 3.0], [9.0, 9.0, 9.0]]), np.zeros((2, 3), bool))
    effect = paired_effect_of(child, control, Noise(0.02, 5.0))
    images = np.var([0.0, 0.0, 1.0], ddof=1) / 3
    assert effect.estimate == pytest.approx(1 / 3)  # the control's second seed has no counterpart
    assert effect.standard_error == pytest.approx(math.sqrt(images + 0.02))
    assert pair_differences(child, control) == pytest.approx((1 / 3,))
    both = Evidence(np.repeat(child.losses, 2, axis=0), np.zeros((2, 3), bool))
    assert paired_effect_of(both, control, Noise(0.02, 5.0)).estimate == pytest.approx((1 / 3 + 7 / 3 - 9) / 2)
    assert pair_differences(both, control) == pytest.approx((1 / 3, 7 / 3 - 9))


@given(st.floats(0.0, 0.1))
def test_what_both_share_does_not_count_seed_by_seed(shared):
    """An offset of a seed is in both losses: it moves neither the estimate nor its error."""
    random = np.random.default_rng(0)
    child, control = (Evidence(random.random((2, 20)), np.zeros((2, 20), bool)) for _ in range(2))
    moved = [Evidence(each.losses + np.array([[0.0], [shared]]), each.wrong) for each in (child, control)]
    before, after = (paired_effect_of(*each, Noise(0.01, 5.0)) for each in ((child, control), moved))
    assert after.estimate == pytest.approx(before.estimate)
    assert after.standard_error == pytest.approx(before.standard_error)


def test_a_shrinking_edit_is_compared_seed_by_seed_only_with_its_own_control():
    child, control, best = certain(1.03), certain(1.0), certain(1.0)
    noises = Noises(NOISE, Noise(0.001**2, 1e6))
    beside = judge([Candidate(child, 0.9, True)], control, control, noises, 0.05)[0]
    apart = judge([Candidate(child, 0.9, True)], control, best, noises, 0.05)[0]
    assert beside.p_value < 1e-6
    assert apart.p_value == pytest.approx(stats.norm.cdf(-0.02 / (0.01 * math.sqrt(2))), abs=1e-4)


def test_what_is_shown_is_the_effect_against_the_control_whatever_the_claim_is_about():
    verdict = verdict_of(certain(1.04), certain(1.04), certain(1.0), cost_ratio=0.9, shrinks=True, margin=0.1)
    assert (verdict.claim, verdict.against) == ("not worse", "the best so far")
    assert verdict.effect.estimate == pytest.approx(0.0)
    assert verdict.reason.startswith("not worse than the best so far at p = ")
    refused = verdict_of(certain(1.2), certain(1.2), certain(1.0), cost_ratio=0.9, shrinks=True, margin=0.1)
    assert refused.reason.startswith("may be worse than the best so far by more than the margin")


@pytest.mark.parametrize("num_edits", [1, 3])
def test_of_generations_of_placebos_at_most_one_in_twenty_keeps_one(num_edits):
    random = np.random.default_rng(num_edits)
    passed = [
        any(verdict.passes for verdict in placebo_generation(random, PRIOR_NOISE, num_edits, [])) for _ in range(500)
    ]
    assert np.mean(passed) <= 0.05


def test_placebos_where_training_is_noisier_than_the_prior_says():
    """The study's own replicates correct the prior, in time: forty of them leave it a weight of one tenth."""
    random = np.random.default_rng(5)
    passed = []
    for _ in range(500):
        replicated = random.normal(1.0, 3 * PRIOR_NOISE, (40, 2))
        verdicts = placebo_generation(random, 3 * PRIOR_NOISE, 3, replicated)
        passed.append(any(verdict.passes for verdict in verdicts))
    assert np.mean(passed) <= 0.05


def certain(loss, num_wrong=10, seeds=1):
    """Evidence of a network whose every image has the same loss."""
    errors = np.zeros((seeds, IMAGES), bool)
    errors[:, :num_wrong] = True
    return Evidence(np.full((seeds, IMAGES), float(loss)), errors)


NOISE = Noise(0.01**2, 1e6)


def verdict_of(child, control=None, best=None, margin=0.05, cost_ratio=1.2, shrinks=False):
    control = certain(1.0) if control is None else control
    (verdict,) = judge([Candidate(child, cost_ratio, shrinks)], control, best or control, Noises(NOISE, None), margin)
    return verdict


def test_a_growing_edit_has_to_be_better():
    assert verdict_of(certain(0.9)).passes
    assert verdict_of(certain(0.9)).claim == "better"
    assert not verdict_of(certain(1.0)).passes
    assert "no evidence of a gain" in verdict_of(certain(1.0)).reason


def test_a_shrinking_edit_has_to_be_not_worse():
    small = {"cost_ratio": 0.8, "shrinks": True}
    assert verdict_of(certain(1.0), **small).passes
    assert verdict_of(certain(1.01), **small).passes
    assert verdict_of(certain(1.01), **small).claim == "not worse"
    assert not verdict_of(certain(1.06), **small).passes
    assert "by more than the margin" in verdict_of(certain(1.06), **small).reason
    assert not verdict_of(certain(1.01), margin=0.0, **small).passes


def test_a_shrinking_edit_is_held_against_the_best_not_against_its_parent():
    """Down step by step, each not much worse than the last: the first that is too far from the best is refused."""
    best, loss, steps = certain(1.0), 1.0, []
    for _ in range(6):
        control = certain(loss)
        steps.append(verdict_of(certain(loss + 0.015), control, best, cost_ratio=0.9, shrinks=True).passes)
        loss += 0.015
    assert steps == [True, False, False, False, False, False]


def test_a_gain_in_loss_with_more_errors_is_refused():
    verdict = verdict_of(certain(0.9, num_wrong=30))
    assert not verdict.passes
    assert "errs more often than the control" in verdict.reason
    assert verdict_of(certain(0.9, num_wrong=13)).passes


def test_where_classes_count_alike_errors_of_a_common_one_may_pay_for_those_of_a_rare_one():
    """Thirty more of the common class are wrong, and eight of the rare one right, which count for nine each."""
    rare = np.arange(IMAGES) < IMAGES // 10
    weights = np.where(rare, 5.0, 5 / 9)
    control = certain(1.0, num_wrong=8)._replace(weights=weights)
    child = Evidence(certain(0.9).losses, np.roll(certain(0.9, num_wrong=30).wrong, -IMAGES // 10, axis=1), weights)
    assert not verdict_of(child._replace(weights=1.0), control._replace(weights=1.0)).passes
    assert verdict_of(child, control).passes
    few_rare = certain(1.0, num_wrong=1)._replace(weights=weights)
    assert "errs more often" in verdict_of(child, few_rare).reason


def test_utility_ranks_gains_by_cost_and_savings_count():
    assert verdict_of(certain(0.9), cost_ratio=1.1).utility > verdict_of(certain(0.9), cost_ratio=1.5).utility
    assert verdict_of(certain(0.8)).utility > verdict_of(certain(0.9)).utility
    small = [verdict_of(certain(1.0), cost_ratio=ratio, shrinks=True).utility for ratio in (0.9, 0.5)]
    assert 0 < small[0] < small[1]


def test_several_edits_are_adjusted_together():
    child = Evidence(certain(0.973).losses, certain(1.0).wrong)
    alone = verdict_of(child)
    candidates = [Candidate(child, 1.2, False), *[Candidate(certain(1.0), 1.2, False)] * 3]
    together = judge(candidates, certain(1.0), certain(1.0), Noises(NOISE, None), 0.05)
    assert together[0].p_value == pytest.approx(4 * alone.p_value)
    assert alone.passes
    assert not together[0].passes


def test_confirming_needs_the_level_of_all_the_edits():
    child = Candidate(certain(0.973), 1.2, False)
    interval, p_value = confirms(child, certain(1.0), Noises(NOISE, None), 0.05, num_edits=1)
    assert interval.estimate == pytest.approx(-0.027)
    assert p_value < ALPHA
    assert confirms(child, certain(1.0), Noises(NOISE, None), 0.05, num_edits=4)[1] == pytest.approx(4 * p_value)
    assert 4 * p_value > ALPHA
    smaller = Candidate(certain(1.0), 0.8, True)
    assert confirms(smaller, certain(1.0), Noises(NOISE, None), 0.05, num_edits=3)[1] < ALPHA


@pytest.mark.parametrize(("num_edits", "spread"), [(1, 0.0), (3, 0.0), (3, 0.3)])
def test_the_smallest_effect_is_seen_with_the_power_it_says(num_edits, spread):
    random = np.random.default_rng(0)
    noise = Noise(0.01**2, 40.0)
    asked = smallest_effect(
        certain(1.0, seeds=2), evidence(random, [0.0], spread=spread), Noises(noise, None), num_edits
    )
    seen = []
    for _ in range(1000):
        control = Evidence(certain(1.0, seeds=2).losses + random.normal(0, 0.01, (2, 1)), certain(1, seeds=2).wrong)
        child = evidence(random, random.normal(0, 0.01, 2), effect=-asked, spread=spread)
        seen.append(num_edits * effect_of(child, control, noise).p_below(0.0) < ALPHA)
    assert 0.74 <= np.mean(seen) <= 0.86
