"""More of a pretrained network trained than its last layer: each gear judged against that, by folds or on *steer*."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from flows import reporting
from flows.evidence import confirmation_of, trained_of
from flows.orchestration import task
from flows.study import Study
from flows.transfer import Planted, gear_rates, num_folds
from flows.trials import all_or_why_not, attempt_edit, attempt_trial, piece_of
from modules.recipe import Recipe
from modules.records import TrialResult
from modules.search.contest import change
from modules.search.gears import Fold, split_folds
from modules.search.generation import (
    Child,
    Comparison,
    Judged,
    Trained,
    Trunk,
    next_trunk,
    record_generation,
)
from modules.search.laboratory import Inherited, Refused, evidence_of
from modules.search.plan import Plan
from modules.search.proposal import Proposal
from modules.search.transfer import Gear, Gears, TriedRate, geared
from modules.training.spec import Slice, Start

_TITLE = "gears"


class _Head(NamedTuple):
    """A trained head from which gears start: of all training images, or of all but those of a fold."""

    recipe: Recipe
    trial: TrialResult
    fold: Fold | None = None


class _Came(NamedTuple):
    """What came of a gear that was trained from a head."""

    inherited: Inherited
    trial: TrialResult


class _Candidate(NamedTuple):
    """A gear with a learning rate, as a child of the head."""

    gear: Gear
    rate: float
    recipe: Recipe  # for all images
    child: Child


def thaw(study: Study, plan: Plan, trunk: Trunk, planted: Planted) -> Trunk:
    """More of the network trained than its last layer: each gear from the head, cooled down, judged against it."""
    if not plan.thaw_samples:
        return trunk
    number = len(trunk.generations) + 1
    study.progress.say(f"generation {number}: more of the network than its last layer", "bold")
    judge = _judge_by_folds if num_folds(study, planted.first) else _judge_on_steer
    return judge(study, plan, trunk, planted, number)


def _judge_on_steer(study: Study, plan: Plan, trunk: Trunk, planted: Planted, number: int) -> Trunk:
    """Each gear at the first rate, the favourite with two seeds."""
    head, piece = _Head(trunk.trained.recipe, trunk.trained.first), _slice_of_all(study, plan, trunk)
    candidates = _candidates(study, trunk, planted, gear_rates(study)[:1], "judged on steer")
    children = [_trained_child(study, head, each.child, piece, number) for each in candidates]
    comparison = _comparison(study, trunk, trunk.trained)
    chosen = comparison.favourite(children)
    if chosen is not None:
        children[chosen] = _again(study, head, children[chosen], piece, number)
    judged = comparison.judge(children)
    kept = None if judged.kept is None else children[judged.kept].trained
    return record_gears(study, comparison, children, judged, kept, piece, number)


def _comparison(study: Study, trunk: Trunk, head: Trained) -> Comparison:
    return Comparison(head, trunk, study.settings.objective.margin, side_by_side=False)


def _slice_of_all(study: Study, plan: Plan, trunk: Trunk) -> Slice:
    return piece_of(study, plan.slice_samples, plan.slice_samples, trunk.position)


def _candidates(study: Study, trunk: Trunk, planted: Planted, rates: Sequence[float], judged: str) -> list[_Candidate]:
    """Each gear with each rate; those of a gear stand together."""
    transfer, head = study.settings.transfer, trunk.trained.recipe
    made = []
    for gear in transfer.gears:
        for rate in rates:
            recipe = geared(head, planted.first, gear, rate, transfer.first_layer_rate)
            what = "the upper blocks" if gear == "upper" else "everything"
            child = Child(change(head, recipe, "thaw", f"gear {gear}, {judged}"), f"train {what} at a rate of {rate:g}")
            made.append(_Candidate(gear, rate, recipe, child))
    return made


def _trained_child(study: Study, head: _Head, child: Child, piece: Slice, number: int) -> Child:
    came = _train(study, head, child.proposal, piece, number)
    if isinstance(came, str):
        return replace(child, refused=came)
    trained = trained_of(study, came.inherited.recipe, came.trial)
    return replace(child, trained=trained, certificate=came.inherited.certificate)


def _train(
    study: Study, head: _Head, proposal: Proposal, piece: Slice, number: int, replicate: int = 0, where: str = ""
) -> _Came | str:
    """A gear trained from a head; a sentence where that comes to nothing."""
    seed = study.seed(replicate)
    inherited = attempt_edit(study, proposal.edit, head.recipe, head.trial, seed)
    if isinstance(inherited, Refused):
        return inherited.reason
    spec = study.laboratory.spec(inherited.recipe, piece, seed, inherited.start)
    trial = attempt_trial(study, spec, "edit", number, f"{proposal.name}{where}")
    return trial if isinstance(trial, str) else _Came(inherited, trial)


def _again(study: Study, head: _Head, child: Child, piece: Slice, number: int) -> Child:
    """The favourite with a second seed."""
    assert child.trained is not None
    second = _train(study, head, child.proposal, piece, number, replicate=1)
    if isinstance(second, str):
        return child.given_up(second)
    return replace(child, trained=trained_of(study, child.trained.recipe, child.trained.first, second.trial))


def _judge_by_folds(study: Study, plan: Plan, trunk: Trunk, planted: Planted, number: int) -> Trunk:
    """A rate for each gear on the first fold; head and gears compared on the others; what is kept, on all images."""
    head, rates = trunk.trained.recipe, gear_rates(study)
    folds = split_folds(study.laboratory, head.selection, num_folds(study, planted.first), study.settings.seed)
    came = study.each([partial(_head_of_fold, study, plan, planted, head, fold, number) for fold in folds])
    heads = all_or_why_not(came)
    if isinstance(heads, str):
        study.progress.say(f"gears are not judged, as the head of a fold came to nothing: {heads}", "yellow")
        return trunk
    compared = heads[1:] if len(rates) > 1 else heads
    control = _over_folds(study, head, [(each.recipe, each.trial) for each in compared])
    asked = control.evidence.losses.shape[1]
    why = f"cross-validated, asked about {asked:,} training images that were left out"
    candidates = _candidates(study, trunk, planted, rates, why)
    tried: tuple[TriedRate, ...] = ()
    if len(rates) > 1:
        candidates, tried = _choose_rates(study, plan, heads[0], candidates, number)
    reporting.keep_gears(study, Gears(folds=len(folds), asked=asked, tried=tried))
    study.progress.say(f"  the head: {_said(control)}")
    children = [_compare(study, plan, compared, one, number) for one in candidates]
    comparison = _comparison(study, trunk, control)
    judged = comparison.judge(children)
    children, judged, kept = _train_kept(study, plan, trunk, children, judged, number)
    return record_gears(study, comparison, children, judged, kept, _slice_of_all(study, plan, trunk), number)


@task("head of fold {fold.number}")
def _head_of_fold(study: Study, plan: Plan, planted: Planted, head: Recipe, fold: Fold, number: int) -> _Head | str:
    """What the study's head is of all images, of those that the fold leaves; why, where its training fails."""
    fitted = study.fit_head(
        f"head of fold {fold.number}",
        planted.head.updated(selection=fold.selection),
        planted.start,
        num_folds=0,
        penalty=planted.fitted.penalty,
    )
    recipe = head.updated(selection=fold.selection)
    start = Start(kind="heads", key=fitted.key, state_sha256=fitted.record["state_sha256"])
    samples = fold.samples(plan.baseline_samples, head.batch_size)
    spec = study.laboratory.spec(recipe, piece_of(study, samples, samples), study.seed(fold.replicate), start)
    trial = attempt_trial(study, spec, "control", number, f"head, fold {fold.number},")
    return trial if isinstance(trial, str) else _Head(recipe, trial, fold)


def _over_folds(study: Study, recipe: Recipe, trained: Sequence[tuple[Recipe, TrialResult]]) -> Trained:
    """A recipe with what its trainings on folds say of the images they leave: evidence as of a single training."""
    said = study.laboratory.left_out(recipe.selection, trained)
    return Trained(recipe, tuple(trial for _, trial in trained), evidence_of([said]))


def _train_on_fold(study: Study, plan: Plan, head: _Head, one: _Candidate, number: int) -> _Came | str:
    assert head.fold is not None
    samples = head.fold.samples(plan.slice_samples, head.recipe.batch_size)
    piece = piece_of(study, samples, samples, head.trial.samples)
    where = f" {one.gear} at {one.rate:g}, fold {head.fold.number},"
    return _train(study, head, one.child.proposal, piece, number, head.fold.replicate, where)


def _choose_rates(
    study: Study, plan: Plan, head: _Head, candidates: Sequence[_Candidate], number: int
) -> tuple[list[_Candidate], tuple[TriedRate, ...]]:
    """Of each gear the candidate with the lowest loss on the first fold and on *steer*, and all that was tried."""
    came = study.each([partial(_train_on_fold, study, plan, head, one, number) for one in candidates])
    tried = [_tried(study, one, each) for one, each in zip(candidates, came, strict=True)]
    losses = [math.inf if one.loss is None else one.loss for one in tried]
    chosen = []
    for gear in study.settings.transfer.gears:
        places = [place for place, one in enumerate(candidates) if one.gear == gear]
        best = min(places, key=lambda place: losses[place])
        tried[best] = tried[best].updated(chosen=math.isfinite(losses[best]))
        spent = tuple(each.trial for each in (came[place] for place in places) if isinstance(each, _Came))
        failed = came[best]
        child = replace(candidates[best].child, spent=spent, refused=failed if isinstance(failed, str) else None)
        chosen.append(candidates[best]._replace(child=child))
    return chosen, tuple(tried)


def _tried(study: Study, one: _Candidate, came: _Came | str) -> TriedRate:
    if isinstance(came, str):
        return TriedRate(gear=one.gear, learning_rate=one.rate)
    said = study.laboratory.left_out(one.recipe.selection, [(came.inherited.recipe, came.trial)], steer=True)
    return TriedRate(gear=one.gear, learning_rate=one.rate, loss=said.loss, error=said.error, asked=len(said.labels))


def _compare(study: Study, plan: Plan, heads: Sequence[_Head], one: _Candidate, number: int) -> Child:
    """A gear that has not failed yet, trained on each fold that is compared."""
    child = one.child
    if child.refused is not None:
        return child
    came = study.each([partial(_train_on_fold, study, plan, head, one, number) for head in heads])
    done = [each for each in came if isinstance(each, _Came)]
    if failed := [each for each in came if isinstance(each, str)]:
        return replace(child, refused=failed[0], spent=(*child.spent, *(each.trial for each in done)))
    trained = _over_folds(study, one.recipe, [(each.inherited.recipe, each.trial) for each in done])
    study.progress.say(f"  {child.description}: {_said(trained)}")
    return replace(child, trained=trained, certificate=done[0].inherited.certificate)


def _said(trained: Trained) -> str:
    evidence = trained.evidence
    return f"{evidence.error:.1%} of {evidence.losses.shape[1]:,} wrong, cross-entropy {evidence.loss:.4f}"


def _train_kept(
    study: Study, plan: Plan, trunk: Trunk, children: list[Child], judged: Judged, number: int
) -> tuple[list[Child], Judged, Trained | None]:
    """What is kept, trained once on all images: that is what the study goes on from."""
    if judged.kept is None:
        return children, judged, None
    child = children[judged.kept]
    assert child.trained is not None
    head = _Head(trunk.trained.recipe, trunk.trained.first)
    whole = _trained_child(study, head, child, _slice_of_all(study, plan, trunk), number)
    if whole.trained is None or whole.refused:
        children[judged.kept] = child.given_up(str(whole.refused))
        verdicts = tuple(None if place == judged.kept else one for place, one in enumerate(judged.verdicts))
        return children, replace(judged, kept=None, verdicts=verdicts), None
    trials = (whole.trained.first, *child.trained.trials)
    children[judged.kept] = replace(child, trained=replace(child.trained, trials=trials))
    return children, judged, whole.trained


@task("judge gears, generation {number}")
def record_gears(
    study: Study,
    comparison: Comparison,
    children: Sequence[Child],
    judged: Judged,
    kept: Trained | None,
    piece: Slice,
    number: int,
) -> Trunk:
    """Open *confirm* for what is `kept`, as it goes on, and write the ledger."""
    trunk = comparison.trunk
    confirmation = confirmation_of(study, kept, trunk.trained)
    record = record_generation(number, comparison, children, judged, confirmation).updated(contest=_TITLE)
    if kept is None:
        record = record.updated(winner_trial=trunk.trained.first.key)  # judged by folds, the control is made of theirs
        trunk = replace(trunk, generations=(*trunk.generations, record))
    else:
        going_on = [
            replace(child, trained=kept) if place == judged.kept else child for place, child in enumerate(children)
        ]
        after = next_trunk(trunk, going_on, trunk.trained, judged, record, piece.model_dump(mode="json"))
        # Losses of what was cooled down say nothing of the trunk's, so its noise and best stay.
        trunk = replace(after, best=trunk.best, replicated=trunk.replicated)
    reporting.write_ledger(study, trunk)
    reporting.say_generation(study, record)
    return trunk
