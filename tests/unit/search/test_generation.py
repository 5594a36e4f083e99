"""Generations on made-up evidence: who gets a second seed, who is kept, what the ledger says."""

import math
from dataclasses import replace

import numpy as np
import pytest

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import Conv, Dense, GlobalPool
from modules.evaluation.outputs import Outputs
from modules.recipe import Recipe
from modules.records import Certificate, Ledger, Part, TrialResult
from modules.search.final import Finalist, FinalTraining, choose_final
from modules.search.generation import (
    Child,
    Comparison,
    Confirmation,
    Trained,
    Trunk,
    best_evidence,
    candidate_of,
    next_trunk,
    record_generation,
    survivors,
)
from modules.search.judging import PRIOR_FREEDOM, Evidence, Noise
from modules.search.proposal import Proposal

IMAGES = 500
MARGIN = 0.05
PIECE = {"samples": 12, "evaluate_every": 12}


def recipe(channels: int = 8) -> Recipe:
    nodes = (
        Conv(name="conv1", inputs=(IMAGE,), channels=channels, kernel=3),
        GlobalPool(name="pool1", inputs=("conv1",), kind="max"),
        Dense(name="dense1", inputs=("pool1",), units=3),
    )
    part = Part(target="nothing.at.all")
    return Recipe(
        architecture=Architecture(image_shape=(1, 6, 6), num_classes=3, nodes=nodes),
        initialisation=part,
        optimizer=part,
        schedule=part,
        selection=part,
        learning_rate=0.1,
        batch_size=8,
    )


def trial(name: str, of: Recipe, seed: int) -> TrialResult:
    return TrialResult(
        key=f"{name}-{seed}",
        recipe=of.content_digest,
        seed=seed,
        state_sha256="",
        weights_sha256="",
        samples=1000,
        epochs=1.0,
        updates=125,
        params=of.architecture.params,
        flops=of.architecture.flops,
        seconds=7.0,
        started_at=0.0,
        finished_at=7.0,
        peak_memory_bytes=1,
        stopped_by="samples",
        steer_loss=1.0,
        steer_error=0.1,
        curve=(),
    )


def seen(*losses: float, num_wrong: int = 50) -> Evidence:
    """One seed for each mean loss; the same for every image, and the same images wrong."""
    errors = np.zeros((len(losses), IMAGES), bool)
    errors[:, :num_wrong] = True
    return Evidence(np.asarray(losses)[:, None] + np.zeros(IMAGES), errors)


def trained(name: str, channels: int, *losses: float, num_wrong: int = 50) -> Trained:
    of = recipe(channels)
    trials = tuple(trial(name, of, seed) for seed in range(len(losses)))
    return Trained(of, trials, seen(*losses, num_wrong=num_wrong))


def child(name: str, channels: int, *losses: float, num_wrong: int = 50) -> Child:
    before, after = recipe().architecture, recipe(channels).architecture
    certificate = Certificate(
        kind="exact",
        max_logit_change=0.0,
        tolerance=1e-4,
        params_before=before.params,
        params_after=after.params,
        flops_before=before.flops,
        flops_after=after.flops,
    )
    return Child(
        proposal=proposal(name),
        description=f"{name} done",
        trained=trained(name, channels, *losses, num_wrong=num_wrong),
        certificate=certificate,
    )


def proposal(name: str) -> Proposal:
    return Proposal(name=name, edit=Part(target=f"modules.edits.{name}"), reason=f"why {name}")


CONTROL = trained("control", 8, 1.0, 1.001)
REFUSED = Child(proposal=proposal("refused"), description="refused", refused="it does not fit")
TRUNK = Trunk(trained=CONTROL, position=5000)
COMPARISON = Comparison(CONTROL, TRUNK, MARGIN)


def test_a_candidate_knows_what_it_costs():
    grown, same, small = (candidate_of(trained("x", channels, 1.0), recipe(8)) for channels in (12, 8, 4))
    assert grown.cost_ratio > 1 > small.cost_ratio
    assert same.cost_ratio == 1.0
    assert [each.shrinks for each in (grown, same, small)] == [False, False, True]


def test_the_favourite_promises_most_for_its_cost():
    children = [child("worse", 12, 1.1), child("better", 12, 0.9), child("dear", 64, 0.9), REFUSED]
    assert COMPARISON.favourite(children) == 1
    assert COMPARISON.favourite(children[2:]) == 0


def test_nobody_is_the_favourite_where_nothing_is_promised():
    assert COMPARISON.favourite([child("worse", 12, 1.1), REFUSED]) is None
    assert COMPARISON.favourite([]) is None


def test_a_shrinking_edit_that_lost_little_is_worth_a_second_seed():
    children = [child("worse", 12, 1.01), child("smaller", 4, 1.01)]
    assert COMPARISON.favourite(children) == 1
    assert Comparison(CONTROL, TRUNK, margin=0.0).favourite(children) is None


def test_the_better_half_for_its_cost_survives():
    wide, usual, narrow = (recipe(channels) for channels in (16, 8, 4))
    begun = [(wide, 0.9), (usual, 0.95), (narrow, 1.0), (usual, 1.1)]
    assert survivors(begun, 1.0, usual, margin=0.0) == [0, 1]
    assert survivors(begun, 1.0, usual, margin=0.2) == [0, 2]  # what is saved counts where a little may be lost
    assert survivors(begun[1:], 1.0, usual, margin=0.0) == [0, 1]  # of three, two
    assert survivors([], 1.0, usual, margin=0.0) == []


def test_what_lost_against_the_control_is_not_forgiven_for_being_dear():
    wide, usual, narrow = (recipe(channels) for channels in (16, 8, 4))
    assert survivors([(wide, 1.1), (usual, 1.1)], 1.0, usual, margin=0.0) == [1]
    assert survivors([(usual, 1.1), (narrow, 1.1)], 1.0, usual, margin=0.0) == [1]


def test_the_best_that_a_limit_demands_survives_whatever_it_lost():
    wide, usual, narrow = (recipe(channels) for channels in (16, 8, 4))
    begun = [(wide, 0.9), (usual, 0.95), (narrow, 1.6), (narrow, 1.4)]
    assert survivors(begun, 1.0, usual, margin=0.0, demanded=[2, 3]) == [0, 3]


def test_noise_is_pooled_over_the_study():
    assert COMPARISON.noises().seeds.freedom == PRIOR_FREEDOM + 1
    trunk = Trunk(trained=CONTROL, position=0, replicated=((1.0, 1.2), (0.9, 0.95, 1.0)))
    assert Comparison(CONTROL, trunk, MARGIN).noises().seeds.freedom == PRIOR_FREEDOM + 1 + 1 + 2
    assert Comparison(CONTROL, trunk, MARGIN).noises().seeds.variance > COMPARISON.noises().seeds.variance


def test_the_best_is_the_lowest_of_all():
    assert best_evidence(CONTROL, TRUNK) is CONTROL.evidence
    better, worse = seen(0.8), seen(1.2)
    assert best_evidence(CONTROL, Trunk(CONTROL, 0, best=better)) is better
    assert best_evidence(CONTROL, Trunk(CONTROL, 0, best=worse)) is CONTROL.evidence


def test_only_what_was_trained_twice_is_kept():
    once = COMPARISON.judge([child("once", 12, 0.8)])
    assert once.verdicts[0].passes
    assert once.kept is None
    children = [REFUSED, child("once", 12, 0.7), child("twice", 12, 0.8, 0.81)]
    judged = COMPARISON.judge(children)
    assert judged.kept == 2
    assert judged.verdicts[0] is None
    assert judged.smallest_effect > 0


def test_of_two_that_pass_the_one_of_most_use_is_kept():
    children = [child("dear", 64, 0.8, 0.8), child("cheap", 9, 0.8, 0.8)]
    assert COMPARISON.judge(children).kept == 1


def test_the_control_wins_unless_an_edit_earns_it():
    children = [child("same", 12, 1.0, 1.0), child("worse", 12, 1.1), child("errs", 12, 0.8, 0.8, num_wrong=90)]
    judged = COMPARISON.judge(children)
    assert judged.kept is None
    record = record_generation(1, COMPARISON, children, judged, None)
    assert (record.winner, record.winner_trial) == (CONTROL.recipe.content_digest, "control-0")
    trunk = next_trunk(TRUNK, children, CONTROL, judged, record, PIECE)
    assert trunk.trained is CONTROL
    assert trunk.position == 6000
    assert trunk.generations == (record,)


def test_a_generation_in_which_every_edit_was_refused():
    judged = COMPARISON.judge([REFUSED])
    record = record_generation(1, COMPARISON, [REFUSED], judged, None)
    assert [row.edit for row in record.rows] == ["control", "refused"]
    assert record.rows[1].verdict == "refused: it does not fit"
    assert record.rows[1].trials == ()
    assert COMPARISON.judge([]).kept is None


CHILDREN = [child("kept", 12, 0.8, 0.81), child("worse", 12, 1.1), child("once", 12, 0.85), REFUSED]


def recorded(child_loss=0.85):
    judged = COMPARISON.judge(CHILDREN)
    confirmation = Confirmation(child=seen(child_loss, child_loss), control=seen(1.02, 1.02))
    record = record_generation(3, COMPARISON, CHILDREN, judged, confirmation)
    return judged, record


def test_the_ledgers_account_of_a_generation():
    judged, record = recorded()
    control, kept, worse, once, refused = record.rows
    assert record.number == 3
    assert (record.parent, record.winner) == (CONTROL.recipe.content_digest, recipe(12).content_digest)
    assert record.winner_trial == "kept-0"
    assert record.noise == pytest.approx(judged.noises.seeds.variance**0.5)
    assert record.smallest_effect == judged.smallest_effect
    assert [row.kept for row in record.rows] == [False, True, False, False, False]
    assert (control.edit, control.verdict, control.seconds) == ("control", "the reference", 14.0)
    assert kept.trials == ("kept-0", "kept-1")
    assert kept.description == "kept done"
    assert kept.reason == "why kept"
    assert kept.certificate == CHILDREN[0].certificate
    assert kept.confirmed is True
    assert kept.confirm_effect.estimate == pytest.approx(-0.17)
    assert kept.steer_effect.estimate == pytest.approx(0.805 - 1.0005)
    assert kept.verdict.startswith("kept: better at p = ")
    assert kept.verdict.endswith("; confirmed")
    assert worse.verdict.startswith("not kept: no evidence of a gain")
    assert "another edit promised more for its cost" in once.verdict
    assert [row.confirmed for row in (control, worse, once, refused)] == [None] * 4
    assert [row.confirm_effect for row in (control, worse, once, refused)] == [None] * 4
    assert (refused.params, refused.seconds) == (CONTROL.recipe.architecture.params, 0.0)


def test_an_edit_beyond_the_limits_shows_its_own_parameters():
    """Not its parent's: it was applied, and then refused."""
    beyond = replace(child("beyond", 64, 1.0), trained=None, refused="it has too many parameters")
    row = record_generation(1, COMPARISON, [beyond], COMPARISON.judge([beyond]), None).rows[1]
    assert (row.params, row.flops) == (recipe(64).architecture.params, recipe(64).architecture.flops)


def test_what_is_kept_is_not_therefore_confirmed():
    _, record = recorded(child_loss=1.02)
    assert record.rows[1].kept
    assert record.rows[1].confirmed is False
    assert "not confirmed" in record.rows[1].verdict
    assert record.winner_trial == "kept-0"  # deciding is not claiming


def test_what_the_next_generation_starts_from():
    judged, record = recorded()
    trunk = next_trunk(TRUNK, CHILDREN, CONTROL, judged, record, PIECE)
    assert trunk.trained is CHILDREN[0].trained
    assert trunk.position == 6000
    assert trunk.best is CHILDREN[0].trained.evidence
    # the control and the edit that was trained twice; not those with one seed
    assert [len(losses) for losses in trunk.replicated] == [2, 2]
    in_proportion = [(1.0 / 1.0005, 1.001 / 1.0005), (0.8 / 1.0005, 0.81 / 1.0005)]
    assert trunk.replicated == tuple(pytest.approx(losses) for losses in in_proportion)
    assert trunk.paired == (pytest.approx((-0.2 / 1.0005, -0.191 / 1.0005)),)


def test_noise_goes_down_with_the_loss():
    """What was seen when the loss was four times as high counts in proportion."""
    seeds, pairs = ((1.0, 1.1), (0.9, 1.0)), ((0.02, -0.02),)
    control = trained("control", 8, 0.25, 0.25)
    noises = Comparison(control, Trunk(CONTROL, 0, replicated=seeds, paired=pairs), MARGIN).noises()
    high = Comparison(trained("control", 8, 1.0, 1.0), Trunk(CONTROL, 0, replicated=seeds, paired=pairs), MARGIN)
    assert noises.seeds.variance == pytest.approx(high.noises().seeds.variance / 16)
    assert noises.pairs.variance == pytest.approx(high.noises().pairs.variance / 16)
    assert Trunk(CONTROL, 0, replicated=seeds).noise_at(0.25).freedom == PRIOR_FREEDOM + 2  # nothing counts twice


@pytest.mark.parametrize("side_by_side", [True, False])
def test_noise_on_confirm_is_in_proportion_to_the_loss_there(side_by_side):
    """With three times the control's loss on steer, by hand."""
    comparison = Comparison(CONTROL, TRUNK, MARGIN, side_by_side)
    children = [child("better", 12, 0.8, 0.81)]
    judged = comparison.judge(children)
    confirmation = Confirmation(child=seen(2.7, 2.7), control=seen(3 * 1.0005, 3 * 1.0005))
    row = record_generation(1, comparison, children, judged, confirmation).rows[1]
    noise = judged.noises.pairs if side_by_side else judged.noises.seeds
    between = 1 / 2 if side_by_side else 1 / 2 + 1 / 2
    assert row.confirm_effect.standard_error == pytest.approx(3 * (noise.variance * between) ** 0.5)


@pytest.mark.parametrize("losses", [(0.0, 0.0), (0.1, 0.12)])
def test_a_control_without_any_loss_can_be_judged_by(losses):
    control = trained("control", 8, 0.0, 0.0)
    comparison = Comparison(control, Trunk(control, 5000), MARGIN)
    children = [child("wide", 12, *losses), child("smaller", 4, *losses)]
    assert comparison.favourite(children) == (None if losses[0] else 1)  # as good, and smaller
    judged = comparison.judge(children)
    confirmation = Confirmation(child=seen(*losses), control=seen(0.0, 0.0))
    record = record_generation(1, comparison, children, replace(judged, kept=1), confirmation)
    assert Ledger(study="mine", baseline="", generations=(record,)).sealed().seal
    trunk = next_trunk(comparison.trunk, children, control, judged, record, PIECE)
    assert math.isfinite(trunk.noise_at(0.0).variance)
    assert Comparison(control, trunk, MARGIN).judge(children).kept is None


def test_edits_that_did_not_fit_do_not_make_confirming_harder():
    crowded = [*CHILDREN, *[REFUSED] * 40]
    confirmation = Confirmation(child=seen(0.92, 0.92), control=seen(1.02, 1.02))
    rows = [
        record_generation(3, COMPARISON, children, COMPARISON.judge(children), confirmation).rows[1]
        for children in (CHILDREN, crowded)
    ]
    assert rows[0].confirmed
    assert rows[1] == rows[0]


def test_a_claim_about_the_best_is_not_called_confirmed_by_the_control():
    best = Trunk(CONTROL, 5000, best=seen(0.999, 0.999))
    comparison = Comparison(CONTROL, best, MARGIN)
    small = [child("smaller", 4, 1.001, 1.001)]
    judged = comparison.judge(small)
    confirmation = Confirmation(child=seen(1.0, 1.0), control=seen(1.0, 1.0))
    row = record_generation(1, comparison, small, judged, confirmation).rows[1]
    assert row.verdict.startswith("kept: not worse than the best so far at p = ")
    assert row.verdict.endswith("; confirmed to be not worse than the control")


def test_the_best_is_kept_while_the_trunk_shrinks():
    small = [child("smaller", 4, 1.001, 1.001)]
    judged = COMPARISON.judge(small)
    assert judged.kept == 0
    record = record_generation(1, COMPARISON, small, judged, None)
    trunk = next_trunk(TRUNK, small, CONTROL, judged, record, PIECE)
    assert trunk.trained is small[0].trained
    assert trunk.best is CONTROL.evidence


def finalist(name: str, loss: float) -> Finalist:
    of = recipe()
    outputs = Outputs(
        losses=np.full(IMAGES, loss, np.float32),
        probabilities=np.tile(np.array([0.8, 0.1, 0.1], np.float32), (IMAGES, 1)),
        labels=np.repeat([0, 1], [IMAGES - 10, 10]),
    )
    return Finalist(name, FinalTraining(of, trial(name, of, 0), "parent"), outputs)


def test_the_final_choice_is_the_lower_cross_entropy_on_confirm():
    finalists = {"continued": finalist("continued", 0.3), "from scratch": finalist("from scratch", 0.2)}
    final = choose_final(finalists, Noise(0.01**2, 100))
    assert final.winner.name == "from scratch"
    assert [row.edit for row in final.rows] == ["final: continued", "final: from scratch"]
    assert [row.kept for row in final.rows] == [False, True]
    assert [row.confirmed for row in final.rows] == [False, True]
    assert final.rows[0].confirm_effect.estimate == pytest.approx(0.1)
    assert final.rows[1].confirm_effect.estimate == pytest.approx(-0.1)
    assert final.rows[0].verdict == (
        "not kept: from scratch has the lower cross-entropy; cross-entropy 0.3000 and error 2.00% on confirm"
    )


def test_a_final_choice_that_is_within_the_noise_claims_nothing():
    finalists = {"continued": finalist("continued", 0.2), "from scratch": finalist("from scratch", 0.201)}
    final = choose_final(finalists, Noise(0.01**2, 100))
    assert final.winner.name == "continued"
    assert [row.confirmed for row in final.rows] == [False, False]


def test_a_single_finalist_has_nothing_to_be_compared_with():
    final = choose_final({"baseline": finalist("baseline", 0.2)}, Noise(0.01**2, 100))
    (row,) = final.rows
    assert row.kept
    assert (row.confirm_effect, row.confirmed) == (None, None)


def test_what_a_limit_demands_is_kept_though_it_is_worse():
    worse, worst = child("narrow", 6, 1.3, 1.31), child("narrow more", 2, 1.6)
    children = [child("widen", 12, 0.5, 0.5), worse, worst, REFUSED]
    assert COMPARISON.favourite(children, demanded=[1, 2]) == 1
    judged = COMPARISON.judge(children, demanded=[1, 2])
    assert judged.kept == 1
    assert not judged.verdicts[1].passes
    confirmation = Confirmation(worse.trained.evidence, CONTROL.evidence)
    record = record_generation(1, COMPARISON, children, judged, confirmation)
    row = record.rows[2]
    assert (row.kept, row.confirmed) == (True, False)
    assert row.verdict.startswith("kept: a limit demands it, though")
    assert COMPARISON.judge([worst], demanded=[0]).kept is None  # one seed is not enough


def test_what_came_to_nothing_after_it_was_to_be_kept_counts_as_refused():
    children = [child("wide", 12, 0.9, 0.9), REFUSED]
    judged = COMPARISON.judge(children)
    assert judged.kept_child(children) is children[0]
    assert judged.winner(children, CONTROL) is children[0].trained
    without = judged.without_kept()
    assert (without.kept, without.kept_child(children), without.verdicts) == (None, None, (None, None))
    assert without.winner(children, CONTROL) is CONTROL


def test_what_was_trained_and_given_up_is_still_accounted_for():
    before = child("wide", 12, 0.8, 0.81)
    lost = before.given_up("with a second seed: its loss exploded")
    assert lost.trained is None
    assert lost.spent == before.trained.trials
    record = record_generation(1, COMPARISON, [lost], COMPARISON.judge([lost]), None)
    row = record.rows[1]
    assert (row.kept, row.seconds, row.trials) == (False, 14.0, ("wide-0", "wide-1"))
    assert row.verdict == "given up: with a second seed: its loss exploded"


def test_a_control_costs_all_that_was_trained_for_it():
    trunk_leg = trial("leg", CONTROL.recipe, 0)
    control = replace(CONTROL, spent=(trunk_leg,))
    comparison = Comparison(control, TRUNK, MARGIN)
    row = record_generation(1, comparison, [], comparison.judge([]), None).rows[0]
    assert (row.seconds, row.trials) == (21.0, ("control-0", "control-1"))


def test_what_was_given_up_after_half_a_slice_has_no_energy_that_is_known():
    why = "others promised more"
    halved = Child(proposal=proposal("half"), description="half a slice", refused=why, seconds=3.0)
    row = record_generation(1, COMPARISON, [halved], COMPARISON.judge([halved]), None)
    assert (row.rows[1].seconds, row.rows[1].energy_wh) == (3.0, None)
