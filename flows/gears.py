"""More of a pretrained network trained than its last layer: each gear judged against that, by folds or on *steer*."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from flows import reporting
from flows.concluding import conclude
from flows.evidence import trained_again, trained_of
from flows.orchestration import task
from flows.study import Study
from flows.transfer import Planted, gear_rates, num_folds
from flows.trials import all_or_failed, attempt_edit, attempt_trial, attempted, piece_of
from modules.digests import digest_of
from modules.evaluation.outputs import Outputs
from modules.recipe import Recipe
from modules.records import GenerationRecord, TrialResult
from modules.search.contest import change
from modules.search.failed import Failed
from modules.search.gears import Gear, Gears, TriedRate, geared
from modules.search.generation import Child, Comparison, Judged, Trained, Trunk, step_of
from modules.search.laboratory import Inherited, evidence_of
from modules.search.plan import Plan
from modules.search.proposal import Proposal
from modules.search.transfer_folds import Fold, split_folds
from modules.training.spec import Slice, Start

_TITLE = "gears"


class _Head(NamedTuple):
    """A trained head from which gears start: of all training images, or of all but those of a fold."""

    recipe: Recipe
    trial: TrialResult
    fold: Fold | None = None


@dataclass(frozen=True)
class Thawing:
    """What all gears take part in: of which study, by which plan, from which trunk, with which weights planted."""

    study: Study
    plan: Plan
    trunk: Trunk
    planted: Planted
    number: int

    @property
    def head(self) -> _Head:
        """The study's own, of all training images."""
        return _Head(self.trunk.trained.recipe, self.trunk.trained.first)

    def piece(self, head: _Head) -> Slice:
        """What a gear is trained for from a head: on a fold as many epochs as on all images."""
        samples, position = self.plan.slice_samples, self.trunk.position
        if head.fold is not None:
            samples, position = head.fold.samples(samples, head.recipe.batch_size), head.trial.samples
        return piece_of(self.study, samples, samples, position)

    def compared_with(self, head: Trained) -> Comparison:
        """By which measure gears are held against a head, which was trained before."""
        return Comparison(head, self.trunk, self.study.settings.objective.margin, side_by_side=False)


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
    return judge(Thawing(study, plan, trunk, planted, number))


def _judge_on_steer(thawing: Thawing) -> Trunk:
    """Each gear at the first rate, the favourite with two seeds."""
    candidates = _candidates(thawing, gear_rates(thawing.study)[:1], "judged on steer")
    children = [_trained_child(thawing, each.child) for each in candidates]
    comparison = thawing.compared_with(thawing.trunk.trained)
    chosen = comparison.favourite(children)
    if chosen is not None:
        children[chosen] = _again(thawing, children[chosen])
    judged = comparison.judge(children)
    kept = judged.kept_child(children)
    return judge_gears(thawing, comparison, children, judged, kept.trained if kept else None)


def _candidates(thawing: Thawing, rates: Sequence[float], judged: str) -> list[_Candidate]:
    """Each gear with each rate; those of a gear stand together."""
    transfer, head = thawing.study.settings.transfer, thawing.head.recipe
    made = []
    for gear in transfer.gears:
        for rate in rates:
            recipe = geared(head, thawing.planted.first, gear, rate, transfer.first_layer_rate)
            what = "the upper blocks" if gear == "upper" else "everything"
            proposal = change(head, recipe, "thaw", f"gear {gear}, {judged}")
            child = Child(proposal=proposal, description=f"train {what} at a rate of {rate:g}")
            made.append(_Candidate(gear, rate, recipe, child))
    return made


def _trained_child(thawing: Thawing, child: Child) -> Child:
    came = _train(thawing, thawing.head, child.proposal)
    if isinstance(came, Failed):
        return replace(child, refused=came.reason)
    trained = trained_of(thawing.study, came.inherited.recipe, came.trial)
    return replace(child, trained=trained, certificate=came.inherited.certificate)


def _train(thawing: Thawing, head: _Head, proposal: Proposal, replicate: int = 0, where: str = "") -> _Came | Failed:
    """A gear trained from a head."""
    study, seed = thawing.study, thawing.study.seed(replicate)
    inherited = attempt_edit(study, proposal.edit, head.recipe, head.trial, seed)
    if isinstance(inherited, Failed):
        return inherited
    spec = study.laboratory.spec(inherited.recipe, thawing.piece(head), seed, inherited.start)
    trial = attempt_trial(study, spec, "edit", thawing.number, f"{proposal.name}{where}")
    return trial if isinstance(trial, Failed) else _Came(inherited, trial)


def _again(thawing: Thawing, child: Child) -> Child:
    """The favourite with a second seed."""
    second = _train(thawing, thawing.head, child.proposal, replicate=1)
    if isinstance(second, Failed):
        return child.given_up(second.reason)
    return trained_again(thawing.study, child, second.trial)


def _judge_by_folds(thawing: Thawing) -> Trunk:
    """A rate for each gear on the first fold; head and gears compared on the others; what is kept, on all images."""
    study, head, rates = thawing.study, thawing.head.recipe, gear_rates(thawing.study)
    count = num_folds(study, thawing.planted.first)
    folds = split_folds(study.laboratory, head.selection, count, study.settings.seed)
    came = study.each([partial(_head_of_fold, thawing, fold) for fold in folds])
    heads = all_or_failed(came)
    if isinstance(heads, Failed):
        study.progress.say(f"gears are not judged, as the head of a fold came to nothing: {heads.reason}", "yellow")
        return thawing.trunk
    compared = heads[1:] if len(rates) > 1 else heads
    control = _over_folds(study, head, [(each.recipe, each.trial) for each in compared])
    if isinstance(control, Failed):
        said = f"gears are not judged, as the look at the heads of the folds failed: {control.reason}"
        study.progress.say(said, "yellow")
        return thawing.trunk
    asked = control.evidence.losses.shape[1]
    why = f"cross-validated, asked about {asked:,} training images that were left out"
    candidates = _candidates(thawing, rates, why)
    tried: tuple[TriedRate, ...] = ()
    if len(rates) > 1:
        candidates, tried = _choose_rates(thawing, heads[0], candidates)
    reporting.keep_gears(study, Gears(folds=len(folds), asked=asked, tried=tried))
    study.progress.say(f"  the head: {_said(control)}")
    children = [_compare(thawing, compared, one) for one in candidates]
    comparison = thawing.compared_with(control)
    judged = comparison.judge(children)
    children, judged, kept = _train_kept(thawing, children, judged)
    return judge_gears(thawing, comparison, children, judged, kept)


@task("head of fold {fold.number}")
def _head_of_fold(thawing: Thawing, fold: Fold) -> _Head | Failed:
    """What the study's head is of all images, of those that the fold leaves."""
    study, planted, head = thawing.study, thawing.planted, thawing.head.recipe
    fitted = study.fit_head(
        f"head of fold {fold.number}",
        planted.head.updated(selection=fold.selection),
        planted.start,
        num_folds=0,
        penalty=planted.fitted.penalty,
    )
    recipe = head.updated(selection=fold.selection)
    start = Start(kind="heads", key=fitted.key, state_sha256=fitted.record["state_sha256"])
    samples = fold.samples(thawing.plan.baseline_samples, head.batch_size)
    spec = study.laboratory.spec(recipe, piece_of(study, samples, samples), study.seed(fold.replicate), start)
    trial = attempt_trial(study, spec, "control", thawing.number, f"head, fold {fold.number},")
    return trial if isinstance(trial, Failed) else _Head(recipe, trial, fold)


def _over_folds(study: Study, recipe: Recipe, trained: Sequence[tuple[Recipe, TrialResult]]) -> Trained | Failed:
    """A recipe with what its trainings on folds say of the images they leave: evidence as of a single training."""
    said = _left_out(study, recipe, trained)
    if isinstance(said, Failed):
        return said
    return Trained(recipe, tuple(trial for _, trial in trained), evidence_of([said], study.laboratory.balanced))


def _left_out(
    study: Study, recipe: Recipe, trained: Sequence[tuple[Recipe, TrialResult]], steer: bool = False
) -> Outputs | Failed:
    """What trainings say of the images that their folds leave, of *steer* too if asked."""
    look = partial(study.laboratory.left_out, recipe.selection, trained, steer)
    return attempted(study, f"to look at what {digest_of([trial.key for _, trial in trained])} left out", look)


def _train_on_fold(thawing: Thawing, head: _Head, one: _Candidate) -> _Came | Failed:
    assert head.fold is not None
    where = f" {one.gear} at {one.rate:g}, fold {head.fold.number},"
    return _train(thawing, head, one.child.proposal, head.fold.replicate, where)


def _choose_rates(
    thawing: Thawing, head: _Head, candidates: Sequence[_Candidate]
) -> tuple[list[_Candidate], tuple[TriedRate, ...]]:
    """Of each gear the candidate with the lowest loss on the first fold and on *steer*, and all that was tried."""
    study = thawing.study
    came = study.each([partial(_train_on_fold, thawing, head, one) for one in candidates])
    tried = [_tried(study, one, each) for one, each in zip(candidates, came, strict=True)]
    losses = [math.inf if one.loss is None else one.loss for one in tried]
    chosen = []
    for gear in study.settings.transfer.gears:
        places = [place for place, one in enumerate(candidates) if one.gear == gear]
        best = min(places, key=lambda place: losses[place])
        tried[best] = tried[best].updated(chosen=math.isfinite(losses[best]))
        spent = tuple(each.trial for each in (came[place] for place in places) if isinstance(each, _Came))
        child = replace(candidates[best].child, spent=spent)
        if isinstance(failed := came[best], Failed):
            child = replace(child, refused=failed.reason)
        chosen.append(candidates[best]._replace(child=child))
    return chosen, tuple(tried)


def _tried(study: Study, one: _Candidate, came: _Came | Failed) -> TriedRate:
    if isinstance(came, Failed):
        return TriedRate(gear=one.gear, learning_rate=one.rate)
    said = _left_out(study, one.recipe, [(came.inherited.recipe, came.trial)], steer=True)
    if isinstance(said, Failed):
        study.progress.say(f"  {one.child.description}: not compared with other rates: {said.reason}", "yellow")
        return TriedRate(gear=one.gear, learning_rate=one.rate)
    return TriedRate(gear=one.gear, learning_rate=one.rate, loss=said.loss, error=said.error, asked=len(said.labels))


def _compare(thawing: Thawing, heads: Sequence[_Head], one: _Candidate) -> Child:
    """A gear that has not failed yet, trained on each fold that is compared."""
    study, child = thawing.study, one.child
    if child.refused is not None:
        return child
    came = study.each([partial(_train_on_fold, thawing, head, one) for head in heads])
    done = [each for each in came if isinstance(each, _Came)]
    pairs = [(each.inherited.recipe, each.trial) for each in done]
    complete = all_or_failed(came)
    trained = complete if isinstance(complete, Failed) else _over_folds(study, one.recipe, pairs)
    if isinstance(trained, Failed):
        return replace(child, refused=trained.reason, spent=(*child.spent, *(each.trial for each in done)))
    study.progress.say(f"  {child.description}: {_said(trained)}")
    return replace(child, trained=trained, certificate=done[0].inherited.certificate)


def _said(trained: Trained) -> str:
    evidence = trained.evidence
    return f"{evidence.error:.1%} of {evidence.losses.shape[1]:,} wrong, cross-entropy {evidence.loss:.4f}"


def _train_kept(thawing: Thawing, children: list[Child], judged: Judged) -> tuple[list[Child], Judged, Trained | None]:
    """What is kept, trained once on all images: that is what the study goes on from."""
    child = judged.kept_child(children)
    if child is None:
        return children, judged, None
    assert child.trained is not None
    came = _train(thawing, thawing.head, child.proposal)
    if isinstance(came, Failed):
        given_up = child.given_up(came.reason)
        return [given_up if each is child else each for each in children], judged.without_kept(), None
    judged_and_whole = replace(child, trained=replace(child.trained, trials=(came.trial, *child.trained.trials)))
    children = [judged_and_whole if each is child else each for each in children]
    return children, judged, trained_of(thawing.study, came.inherited.recipe, came.trial)


@task("judge gears, generation {thawing.number}")
def judge_gears(
    thawing: Thawing, comparison: Comparison, children: Sequence[Child], judged: Judged, kept: Trained | None
) -> Trunk:
    """Open *confirm* for what is `kept`, as it goes on, and write the ledger."""
    trunk, child = thawing.trunk, judged.kept_child(children)
    piece = thawing.piece(thawing.head).model_dump(mode="json")

    def after(record: GenerationRecord) -> Trunk:
        """Losses of what was cooled down say nothing of the trunk's, so its noise and best stay."""
        record = record.updated(contest=_TITLE)
        if kept is None or child is None:  # judged by folds, the control is made of theirs
            return trunk.gone_on(record.updated(winner_trial=trunk.trained.first.key), trunk.trained, 0)
        step = step_of(kept, piece, child.proposal.edit)
        return trunk.gone_on(record, kept, kept.first.samples, step)

    on_confirm = (kept, trunk.trained) if kept else None
    return conclude(thawing.study, thawing.number, comparison, children, judged, after, on_confirm)
