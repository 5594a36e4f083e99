"""A study that starts from pretrained weights: whether it does, at which size, and the head on frozen features."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows import reporting
from flows.allowance import new_plan, samples_for, seconds_for, seconds_left, wishes_of
from flows.decisions import Question
from flows.evidence import first_trunk
from flows.limits import check_shrinks, excess_of, halvings_of, measured_cost
from flows.orchestration import task
from flows.study import Study
from flows.translation import configured_backbones, configured_limits, configured_wishes
from modules.data.arrays import open_arrays
from modules.digests import sha256_of_file
from modules.errors import ConfigError, DataError, StudyError, TrainingError
from modules.pretrained.backbone import Backbone, Source, find_source
from modules.recipe import Recipe
from modules.search.first_recipe import leaves_width_open
from modules.search.gears import thaw_cost
from modules.search.generation import Trunk
from modules.search.learning_curve import fit_curve
from modules.search.pace import RESERVED_SECONDS, Calibration
from modules.search.plan import Plan
from modules.search.rungs import cooling
from modules.search.transfer import (
    FEW_IMAGES,
    Choice,
    Fitted,
    Heads,
    choose_source,
    fine_tunes_first,
    head_recipe,
    may_begin,
    may_look,
    may_train,
    smallest_as_good,
    transfer_wishes,
)
from modules.training.spec import Start


class Weights(NamedTuple):
    """Pretrained weights that suit a study's images, with the network that they belong to, and why they do."""

    backbone: Backbone
    source: Source
    reason: str

    @property
    def identity(self) -> dict[str, str]:
        """By which a study knows them again."""
        return {"backbone": self.backbone.name, "sha256": sha256_of_file(self.source.file)}


@dataclass(frozen=True)
class Planted:
    """A pretrained network with a head for the study's classes, and what was found out on the way."""

    first: Recipe  # everything trained, augmentation drawn anew
    head: Recipe  # the last layer alone
    start: Start
    fitted: Fitted
    calibration: Calibration | None


def plant_pretrained(study: Study, recipe: Recipe) -> Planted | None:
    """The network to start from, where there are weights at hand that suit the images; says why, or why not."""
    weights = find_weights(study)
    if weights is None:
        return None
    pace = _pace_of(study, recipe, weights.backbone)
    if study.settings.pretrained == "auto":  # what was asked for is tried all the same
        obstacle = study.decided(Question.PRETRAINED_OBSTACLE.key(), partial(_obstacle, study, recipe, weights, pace))
        if obstacle is not None:
            study.progress.say(f"from scratch: {obstacle}")
            return None
    study.progress.say(f"from pretrained weights: {weights.reason}")
    fitted = choose_side(study, recipe, weights, pace)
    first = _first(study, recipe, weights.backbone, fitted.side)
    start = Start(kind="heads", key=fitted.key, state_sha256=fitted.state_sha256)
    head = head_recipe(first, study.settings.transfer.copies)
    return Planted(first, head, start, fitted, None if pace is None else pace.calibration_at(fitted.side))


@task("look for pretrained weights")
def find_weights(study: Study) -> Weights | None:
    """Weights that suit the data; ConfigError where they were asked for and do not.

    StudyError where they are others than those that the study began from: what is at hand may change on the way.
    """
    if study.settings.pretrained == "none":
        return None
    choice, source = _look_around(study)
    found = None if choice.backbone is None or source is None else Weights(choice.backbone, source, choice.reason)
    now = None if found is None else found.identity
    began = study.decided(Question.PRETRAINED_WEIGHTS.key(), lambda: now)
    if began is None:
        if choice.reason and study.laboratory.data.image_shape[0] > 1:
            study.progress.say(f"from scratch: {choice.reason if found is None else 'so this study began'}")
        return None
    if now != began:
        there = choice.reason if now is None else f"{_named(now)} are at hand"
        raise StudyError(
            f"study {study.name!r} began from pretrained weights, {_named(began)}; now {there}; bring them back, or "
            "start it over with fresh=true"
        )
    return found


def _named(identity: dict[str, str]) -> str:
    return f"those of {identity['backbone']} (SHA-256 {identity['sha256'][:16]})"


def _look_around(study: Study) -> tuple[Choice, Source | None]:
    """What is at hand, and whether it suits; no reason where the configuration plainly asks for something else."""
    settings, data = study.settings, study.laboratory.data
    wish, backbones = settings.pretrained, configured_backbones(settings)
    if wish == "auto" and not _leaves_it_open(study):
        return Choice(None, ""), None
    if wish == "auto" and settings.only_from_scratch is not None:
        return Choice(None, f"{settings.only_from_scratch} is for networks that are trained from scratch"), None
    source = find_source(wish, backbones)
    if source is not None and len(source.backbones) > 1:
        name = study.laboratory.identify_weights(source)
        source = source.updated(backbones=tuple(one for one in source.backbones if one.name == name))
    arrays = open_arrays(study.home, data)
    counts = np.bincount(arrays.labels[arrays.indices("train")], minlength=len(data.classes))
    names = [backbone.distribution for backbone in backbones]
    return choose_source(wish, source, data, names, counts.tolist()), source


def _leaves_it_open(study: Study) -> bool:
    """Whether nothing in the configuration asks for a network or for weights of another kind."""
    settings = study.settings
    return (
        settings.has_default_model
        and leaves_width_open(settings.model)
        and settings.search.start is None
        and settings.search.kind != "sweep"
        and not settings.objective.is_pareto
    )


class Pace(NamedTuple):
    """How fast everything is trained on images of the smallest size, and the seconds that there are at most for it."""

    calibration: Calibration
    seconds: float
    smallest: int  # pixels

    @property
    def affordable(self) -> float:
        """The samples of the smallest size that there is time for at most."""
        return self.seconds * self.calibration.samples_per_second

    def calibration_at(self, side: int) -> Calibration:
        """With images of another size."""
        return self.calibration.slower((side / self.smallest) ** 2)

    def affordable_at(self, side: int) -> float:
        """The samples that there is time for beside what the study ends with."""
        there = self.calibration_at(side)
        return max(0.0, self.seconds - (there.end_seconds - RESERVED_SECONDS)) * there.samples_per_second


def _pace_of(study: Study, recipe: Recipe, backbone: Backbone) -> Pace | None:
    """None without a clock."""
    wishes, smallest = configured_wishes(study.settings), study.settings.transfer.sides[0]
    key = Question.PRETRAINED_PACE.key()
    if not wishes.needs_calibration and not study.has_decided(key):
        return None
    first = _first(study, recipe, backbone, smallest)
    measured = study.decided(key, lambda: study.laboratory.calibrate(first).model_dump(mode="json"))
    calibration = Calibration.model_validate(measured)
    least_end = calibration.with_least_end()
    seconds = study.decided(Question.PRETRAINED_SECONDS.key(), lambda: seconds_for(study, least_end))
    return Pace(calibration, seconds, smallest)


def _obstacle(study: Study, recipe: Recipe, weights: Weights, pace: Pace | None) -> str | None:
    """Why a study that may choose does not start from weights that suit its images; None where nothing hinders it."""
    smallest, num_train = study.settings.transfer.sides[0], study.laboratory.num_selected(recipe)
    search, first = study.settings.search, _first(study, recipe, weights.backbone, smallest)
    excess = excess_of(study, first.architecture)
    if excess is not None and (search.kind == "none" or search.generations == 0):
        return f"with the weights of {weights.backbone.name} {excess}, and no generation is to shrink it"
    if excess is not None and pace is not None and not _may_shrink(study, first, pace.calibration):
        return (
            f"with the weights of {weights.backbone.name} {excess}, and the budget pays for no generation to shrink it"
        )
    copies = head_recipe(first, study.settings.transfer.copies).augmentation_copies or 0
    if pace is not None and not may_begin(pace.affordable, num_train, copies):
        what = "a head on features of" if num_train <= FEW_IMAGES else "fine-tuning on"
        return f"the budget does not pay for {what} {num_train:,} images"
    try:
        fit_head(study, recipe, weights, smallest)
    except (DataError, TrainingError) as error:  # no two folds, or more features than can be kept
        return str(error).partition("; allowed")[0]
    return None


def _may_shrink(study: Study, first: Recipe, calibration: Calibration) -> bool:
    try:
        return _plan_for(study, first, calibration).generations > 0
    except ConfigError:  # the budget is too small for anything
        return False


def gear_rates(study: Study) -> tuple[float, ...]:
    """The learning rates of the last layer that a gear may have."""
    given = study.settings.training.learning_rate
    return study.settings.transfer.learning_rates if given is None else (given,)


def num_folds(study: Study, recipe: Recipe) -> int:
    """Of cross-validation, where images are few; 0: *steer* judges."""
    transfer = study.settings.transfer
    return transfer.folds if study.laboratory.num_selected(recipe) < transfer.fold_images else 0


def _first(study: Study, recipe: Recipe, backbone: Backbone, side: int) -> Recipe:
    data, transfer = study.laboratory.data, study.settings.transfer
    smoothing = study.settings.training.label_smoothing
    return recipe.updated(
        architecture=backbone.family.architecture(data.image_shape, len(data.classes), side),
        learning_rate=gear_rates(study)[0],
        frozen_statistics=transfer.frozen_statistics,
        first_layer_rate=transfer.first_layer_rate,
        label_smoothing=transfer.label_smoothing if smoothing is None else smoothing,
    )


def choose_side(study: Study, recipe: Recipe, weights: Weights, pace: Pace | None) -> Fitted:
    """Heads on images of growing size, for as long as that pays: the size is decided once."""
    tried: list[Fitted] = []
    losses: list[NDArray[np.float32]] = []
    for side in study.settings.transfer.sides:
        objection = _objection(study, recipe, weights.backbone, tried[-1], side, pace) if tried else None
        if objection is not None:
            study.progress.say(f"images of {side} pixels {objection}")
            break
        fitted = fit_head(study, recipe, weights, side)
        tried.append(fitted)
        losses.append(study.laboratory.said_by_heads(fitted.key).losses)
        how = "that it was not fitted to" if num_folds(study, recipe) else "of steer"
        study.progress.say(
            f"a head on features of {side} pixels: {fitted.error:.1%} ± {1.96 * fitted.standard_error:.1%} of "
            f"{fitted.asked:,} images {how} wrong (features {fitted.feature_seconds:.1f} s, head "
            f"{fitted.head_seconds:.1f} s)"
        )
        if losses[-1].mean() > min(each.mean() for each in losses):
            break
    best = tried[smallest_as_good(losses)]
    if len(tried) > 1:
        study.progress.say(f"images of {best.side} pixels: the smallest that are within a standard error of the best")
    curve = [(images, error) for images, error, _ in best.curve]
    fit = fit_curve([*curve, (best.fitted_to, best.error)], best.images) if curve else None
    heads = Heads(fitted=tuple(tried), side=best.side, folds=num_folds(study, recipe), curve=fit)
    reporting.keep_heads(study, heads)
    return best


def _objection(
    study: Study, recipe: Recipe, backbone: Backbone, smaller: Fitted, side: int, pace: Pace | None
) -> str | None:
    """What speaks against larger images than those of a head: a limit, or the time."""
    limits = configured_limits(study.settings)
    networks = [_first(study, recipe, backbone, each).architecture for each in (smaller.side, side)]
    now, larger = (measured_cost(study, each) for each in networks)
    if limits.excess(larger) > max(0.0, limits.excess(now)):  # no edit makes images smaller again
        return f"are too large: {limits.objection(larger)}"
    num_train = study.laboratory.num_selected(recipe)
    # Settled once, as it depends on how long smaller images took.
    has_time = study.decided(Question.LARGER_IMAGES.key(side), lambda: _has_time(study, smaller, side, num_train, pace))
    return None if has_time else "would take too long to look at"


def _has_time(study: Study, smaller: Fitted, side: int, num_train: int, pace: Pace | None) -> bool:
    """For a look at larger images; and for fine-tuning on them, unless there is none for that on smaller ones."""
    if pace is None:
        return may_look(smaller, side, None, trains=True)
    trains = [may_train(pace.affordable_at(each), num_train) for each in (smaller.side, side)]
    left = seconds_left(study, pace.calibration_at(side))
    left = pace.seconds if left is None else left  # an ablation has its study's decisions, but no clock
    return may_look(smaller, side, left, trains=trains[0]) and (trains[1] or not trains[0])


@task("fit a head on {side} pixels")
def fit_head(study: Study, recipe: Recipe, weights: Weights, side: int) -> Fitted:
    """The last layer, fitted to features of images of a size."""
    head = head_recipe(_first(study, recipe, weights.backbone, side), study.settings.transfer.copies)
    start = study.laboratory.plant_weights(weights.source, weights.backbone, head.architecture)
    folds = num_folds(study, recipe)
    fitted = study.fit_head(f"head on {side} pixels", head, start, folds)
    return Fitted(key=fitted.key, side=side, **fitted.record)


@task("plan")
def plan_transfer(study: Study, planted: Planted, is_kept: bool = True) -> Plan:
    """Turn the budget into samples."""
    plan = study.planned(partial(_plan_for, study, planted.first, planted.calibration), is_kept)
    check_shrinks(study, plan, planted.first.architecture)
    judges = study.settings.transfer.gears and study.settings.search.kind != "none"
    if judges and not plan.thaw_samples and not _fine_tunes_first(study, plan, planted):
        study.progress.say("the budget does not pay for training and judging more than the last layer", "yellow")
    return plan


def _plan_for(study: Study, first: Recipe, calibration: Calibration | None) -> Plan:
    num_train = study.laboratory.num_selected(first)
    if calibration is not None and not seconds_left(study, calibration):
        calibration = calibration.with_least_end()
    affordable = samples_for(study, calibration)
    folds = num_folds(study, first)
    cost = thaw_cost(len(study.settings.transfer.gears), len(gear_rates(study)), folds)
    halvings = halvings_of(study, first.architecture)
    wishes = transfer_wishes(wishes_of(study).updated(thaw=cost), num_train, affordable, halvings)
    return new_plan(study, wishes, first, calibration)


def train_planted(study: Study, plan: Plan, planted: Planted) -> Trunk:
    """What the study begins with: everything fine-tuned where nothing is searched or it is to shrink, else the head."""
    if study.settings.search.kind == "none" or _fine_tunes_first(study, plan, planted):
        return first_trunk(study, plan, planted.first, planted.start, "baseline")
    return first_trunk(study, plan, planted.head.updated(schedule=cooling()), planted.start, "head")


def _fine_tunes_first(study: Study, plan: Plan, planted: Planted) -> bool:
    return fine_tunes_first(plan, study.laboratory.num_selected(planted.first))
