"""A study that starts from pretrained weights: whether it does, at which size, and the head on frozen features."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from flows import reporting
from flows.allowance import wishes_of
from flows.evidence import trained_of
from flows.limits import excess_of
from flows.orchestration import task
from flows.study import Study
from flows.translation import configured_backbones, configured_wishes
from flows.trials import first_piece, first_step, train_trial
from modules.data.arrays import open_arrays
from modules.digests import sha256_of_file
from modules.errors import DataError, StudyError, TrainingError
from modules.pretrained.backbone import Backbone, Source, find_source
from modules.recipe import Recipe
from modules.search.generation import Trunk
from modules.search.learning_curve import fit_curve
from modules.search.pace import Calibration
from modules.search.plan import Plan
from modules.search.planning import make_plan, training_seconds
from modules.search.rungs import cooling
from modules.search.transfer import (
    FEW_IMAGES,
    Choice,
    Fitted,
    Heads,
    choose_source,
    head_recipe,
    is_worth_it,
    may_begin,
    may_look,
    may_train,
    thaw_cost,
    transfer_wishes,
)
from modules.training.spec import Start

_PACE = "pace of the pretrained network"  # a decision that `espalier credit` hands on to studies without a clock
_BEGAN_FROM = "weights to start from"


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
        obstacle = study.decided("obstacle to pretrained weights", partial(_obstacle, study, recipe, weights, pace))
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
    began = study.decided(_BEGAN_FROM, lambda: now)
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
        settings.model.arguments.get("width", 0.0) is None
        and settings.model.name == "first_architecture"
        and settings.search.start is None
        and settings.search.kind != "sweep"
        and not settings.objective.is_pareto
    )


class Pace(NamedTuple):
    """How fast everything is trained on images of the smallest size, and the seconds that there are for it."""

    calibration: Calibration
    seconds: float
    smallest: int  # pixels

    def calibration_at(self, side: int) -> Calibration:
        """With images of another size."""
        scale = (self.smallest / side) ** 2
        return self.calibration.updated(
            samples_per_second=self.calibration.samples_per_second * scale,
            evaluation_seconds=self.calibration.evaluation_seconds / scale,
        )

    def affordable_at(self, side: int) -> float:
        """The samples that there is time for."""
        return self.seconds * self.calibration_at(side).samples_per_second


def _pace_of(study: Study, recipe: Recipe, backbone: Backbone) -> Pace | None:
    """None without a clock."""
    wishes, smallest = configured_wishes(study.settings), study.settings.transfer.sides[0]
    if not wishes.needs_calibration and not study.has_decided(_PACE):
        return None
    first = _first(study, recipe, backbone, smallest)
    measured = study.decided(_PACE, lambda: study.laboratory.calibrate(first).model_dump(mode="json"))
    calibration = Calibration.model_validate(measured)
    seconds = study.decided(
        "seconds for fine-tuning",
        lambda: training_seconds(wishes, calibration, study.clock.seconds, study.energy.wh),
    )
    return Pace(calibration, seconds, smallest)


def _obstacle(study: Study, recipe: Recipe, weights: Weights, pace: Pace | None) -> str | None:
    """Why a study that may choose does not start from weights that suit its images; None where nothing hinders it."""
    smallest, num_train = study.settings.transfer.sides[0], study.laboratory.num_selected(recipe)
    search, first = study.settings.search, _first(study, recipe, weights.backbone, smallest)
    excess = excess_of(study, first.architecture)
    if excess is not None and (search.kind == "none" or search.generations == 0):
        return f"with the weights of {weights.backbone.name} {excess}, and no generation is to shrink it"
    copies = head_recipe(first, study.settings.transfer.copies).augmentation_copies or 0
    if pace is not None and not may_begin(pace.affordable_at(smallest), num_train, copies):
        what = "a head on features of" if num_train <= FEW_IMAGES else "fine-tuning on"
        return f"the budget does not pay for {what} {num_train:,} images"
    try:
        fit_head(study, recipe, weights, smallest)
    except (DataError, TrainingError) as error:  # no two folds, or more features than can be kept
        return str(error).partition("; allowed")[0]
    return None


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
    training = study.settings.training
    return recipe.updated(
        architecture=backbone.family.architecture(data.image_shape, len(data.classes), side),
        learning_rate=gear_rates(study)[0],
        frozen_statistics=transfer.frozen_statistics,
        first_layer_rate=transfer.first_layer_rate,
        label_smoothing=training.label_smoothing or transfer.label_smoothing,
    )


def choose_side(study: Study, recipe: Recipe, weights: Weights, pace: Pace | None) -> Fitted:
    """Heads on images of growing size, for as long as that pays: the size is decided once."""
    best: Fitted | None = None
    tried: list[Fitted] = []
    for side in study.settings.transfer.sides:
        objection = None if best is None else _objection(study, recipe, weights.backbone, best, side, pace)
        if objection is not None:
            study.progress.say(f"images of {side} pixels {objection}")
            break
        fitted = fit_head(study, recipe, weights, side)
        tried.append(fitted)
        how = "that it was not fitted to" if num_folds(study, recipe) else "of steer"
        study.progress.say(
            f"a head on features of {side} pixels: {fitted.error:.1%} ± {1.96 * fitted.standard_error:.1%} of "
            f"{fitted.asked:,} images {how} wrong (features {fitted.feature_seconds:.1f} s, head "
            f"{fitted.head_seconds:.1f} s)"
        )
        if best is not None and not is_worth_it(best, fitted):
            break
        best = fitted
    assert best is not None
    curve = [(images, error) for images, error, _ in best.curve]
    fit = fit_curve([*curve, (best.fitted_to, best.error)], best.images) if curve else None
    heads = Heads(fitted=tuple(tried), side=best.side, folds=num_folds(study, recipe), curve=fit)
    reporting.keep_heads(study, heads)
    return best


def _objection(
    study: Study, recipe: Recipe, backbone: Backbone, smaller: Fitted, side: int, pace: Pace | None
) -> str | None:
    """What speaks against larger images than those of a head: a limit, or the time."""
    networks = [_first(study, recipe, backbone, each).architecture for each in (smaller.side, side)]
    keeps, breaks = (excess_of(study, each) for each in networks)
    if keeps is None and breaks is not None:
        return f"are too large: {breaks}"
    num_train = study.laboratory.num_selected(recipe)
    # Settled once, as it depends on how long smaller images took.
    has_time = study.decided(f"look at {side} pixels", lambda: _has_time(smaller, side, num_train, pace))
    return None if has_time else "would take too long to look at"


def _has_time(smaller: Fitted, side: int, num_train: int, pace: Pace | None) -> bool:
    """For a look at larger images; and for fine-tuning on them, unless there is none for that on smaller ones."""
    if pace is None:
        return may_look(smaller, side, None)
    trains = [may_train(pace.affordable_at(each), num_train) for each in (smaller.side, side)]
    return may_look(smaller, side, pace.seconds) and (trains[1] or not trains[0])


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
    plan = study.planned(partial(_new_plan, study, planted), is_kept)
    if study.settings.transfer.gears and study.settings.search.kind != "none" and not plan.thaw_samples:
        study.progress.say("the budget does not pay for training and judging more than the last layer", "yellow")
    return plan


def _new_plan(study: Study, planted: Planted) -> Plan:
    wishes, calibration = wishes_of(study), planted.calibration
    num_train = study.laboratory.num_selected(planted.first)
    affordable = None
    if calibration is not None:
        seconds = training_seconds(wishes, calibration, study.clock.seconds, study.energy.wh)
        affordable = seconds * calibration.samples_per_second
    is_limited = excess_of(study, planted.first.architecture) is not None
    folds = num_folds(study, planted.first)
    cost = thaw_cost(len(study.settings.transfer.gears), len(gear_rates(study)), folds)
    wishes = transfer_wishes(wishes.updated(thaw=cost), num_train, affordable, is_limited)
    plan = make_plan(wishes, num_train, calibration, study.clock.seconds, study.energy.wh)
    return plan.updated(prior=study.prior.content_digest if study.prior.lessons else None)


def train_planted(study: Study, plan: Plan, planted: Planted) -> Trunk:
    """What the study begins with: everything fine-tuned where nothing is searched, else the head."""
    searched = study.settings.search.kind != "none"
    recipe = planted.head.updated(schedule=cooling()) if searched else planted.first
    spec = study.laboratory.spec(recipe, first_piece(study, plan), study.seed(0), planted.start)
    trial = train_trial(study, spec, "head" if searched else "baseline")
    return Trunk(trained=trained_of(study, recipe, trial), position=trial.samples, lineage=(first_step(spec, trial),))
