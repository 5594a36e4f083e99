"""A study that starts from pretrained weights: whether it does, at which size, and the head on frozen features."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from flows import reporting
from flows.allowance import wishes_of
from flows.evidence import trained_of
from flows.orchestration import task
from flows.study import Study
from flows.translation import configured_backbones, configured_limits, configured_wishes
from flows.trials import first_piece, first_step, train_trial
from modules.data.arrays import open_arrays
from modules.errors import StudyError
from modules.pretrained.backbone import Backbone, Source, find_source
from modules.recipe import Recipe
from modules.search.generation import Trunk
from modules.search.learning_curve import fit_curve
from modules.search.plan import Calibration, Plan, make_plan, training_seconds
from modules.search.rungs import cooling
from modules.search.transfer import (
    Fitted,
    Heads,
    check_classes,
    choose_source,
    head_recipe,
    is_worth_it,
    may_look,
    may_train,
    thaw_cost,
    transfer_wishes,
)
from modules.training.spec import Start

_PACE = "pace of the pretrained network"  # a decision that `espalier credit` hands on to studies without a clock


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
    found = find_weights(study)
    if found is None:
        return None
    backbone, source = found
    calibration, seconds = _time_for(study, recipe, backbone)
    sides, num_train = study.settings.transfer.sides, study.laboratory.num_selected(recipe)
    if calibration is not None and not may_train(
        calibration.samples_per_second, sides[0], sides[0], num_train, seconds
    ):
        study.progress.say("from scratch: the budget does not pay for fine-tuning on so many images")
        return None
    fitted = choose_side(study, recipe, backbone, source, calibration, seconds)
    first = _first(study, recipe, backbone, fitted.side)
    scale = (sides[0] / fitted.side) ** 2
    scaled = calibration and calibration.updated(
        samples_per_second=calibration.samples_per_second * scale,
        evaluation_seconds=calibration.evaluation_seconds / scale,
    )
    start = Start(kind="heads", key=fitted.key, state_sha256=fitted.state_sha256)
    return Planted(first, head_recipe(first, study.settings.transfer.copies), start, fitted, scaled)


@task("look for pretrained weights")
def find_weights(study: Study) -> tuple[Backbone, Source] | None:
    """Weights that suit the data; ConfigError where they were asked for and do not."""
    settings, data = study.settings, study.laboratory.data
    wish, backbones = settings.pretrained, configured_backbones(settings)
    if wish == "none" or (wish == "auto" and not _leaves_it_open(study)):
        return None
    source = find_source(wish, backbones)
    if source is not None and len(source.backbones) > 1:
        name = study.laboratory.identify_weights(source)
        source = source.updated(backbones=tuple(one for one in source.backbones if one.name == name))
    choice = choose_source(wish, source, data, [backbone.distribution for backbone in backbones])
    suits = choice.backbone is not None and source is not None
    if not study.decided("start from pretrained weights", lambda: suits):  # what is at hand may change on the way
        if data.image_shape[0] > 1:
            study.progress.say(f"from scratch: {'so this study began' if suits else choice.reason}")
        return None
    if choice.backbone is None or source is None:
        raise StudyError(
            f"study {study.name!r} began from pretrained weights, now {choice.reason}; bring them back, or start it "
            "over with fresh=true"
        )
    study.progress.say(f"from pretrained weights: {choice.reason}")
    arrays = open_arrays(study.home, data)
    counts = np.bincount(arrays.labels[arrays.indices("train")], minlength=len(data.classes))
    check_classes(data, counts.tolist())
    return choice.backbone, source


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


def _time_for(study: Study, recipe: Recipe, backbone: Backbone) -> tuple[Calibration | None, float | None]:
    wishes = configured_wishes(study.settings)
    if not wishes.needs_calibration and not study.has_decided(_PACE):
        return None, None
    measured = study.decided(
        _PACE,
        lambda: study.laboratory.calibrate(
            _first(study, recipe, backbone, study.settings.transfer.sides[0])
        ).model_dump(mode="json"),
    )
    calibration = Calibration.model_validate(measured)
    seconds = study.decided(
        "seconds for fine-tuning",
        lambda: training_seconds(wishes, calibration, study.clock.seconds, study.energy.wh),
    )
    return calibration, seconds


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


def choose_side(
    study: Study,
    recipe: Recipe,
    backbone: Backbone,
    source: Source,
    calibration: Calibration | None,
    seconds: float | None,
) -> Fitted:
    """Heads on images of growing size, for as long as that pays: the size is decided once."""
    sides, num_train = study.settings.transfer.sides, study.laboratory.num_selected(recipe)
    best: Fitted | None = None
    tried: list[Fitted] = []
    for side in sides:
        if best is not None and not _has_time(study, best, side, calibration, num_train, seconds):
            study.progress.say(f"images of {side} pixels would take too long to look at")
            break
        fitted = fit_head(study, recipe, backbone, source, side)
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
    fit = fit_curve([*curve, (best.images, best.error)]) if curve else None
    heads = Heads(fitted=tuple(tried), side=best.side, folds=num_folds(study, recipe), curve=fit)
    reporting.keep_heads(study, heads)
    return best


def _has_time(
    study: Study, smaller: Fitted, side: int, calibration: Calibration | None, num_train: int, seconds: float | None
) -> bool:
    """Settled once, as it depends on how long smaller images took."""

    def decide() -> bool:
        smallest = study.settings.transfer.sides[0]
        pays = calibration is None or may_train(calibration.samples_per_second, smallest, side, num_train, seconds)
        return pays and may_look(smaller, side, seconds)

    return bool(study.decided(f"look at {side} pixels", decide))


@task("fit a head on {side} pixels")
def fit_head(study: Study, recipe: Recipe, backbone: Backbone, source: Source, side: int) -> Fitted:
    """The last layer, fitted to features of images of a size."""
    head = head_recipe(_first(study, recipe, backbone, side), study.settings.transfer.copies)
    start = study.laboratory.plant_weights(source, backbone, head.architecture)
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
    limited = any(configured_limits(study.settings).given())
    folds = num_folds(study, planted.first)
    cost = thaw_cost(len(study.settings.transfer.gears), len(gear_rates(study)), folds)
    wishes = wishes.updated(thaw=cost, races=0)
    wishes = transfer_wishes(wishes, num_train, affordable, limited)
    return make_plan(wishes, num_train, calibration, study.clock.seconds, study.energy.wh)


def train_planted(study: Study, plan: Plan, planted: Planted) -> Trunk:
    """What the study begins with: everything fine-tuned where nothing is searched, else the head."""
    searched = study.settings.search.kind != "none"
    recipe = planted.head.updated(schedule=cooling()) if searched else planted.first
    spec = study.laboratory.spec(recipe, first_piece(study, plan), study.seed(0), planted.start)
    trial = train_trial(study, spec, "head" if searched else "baseline")
    return Trunk(trained=trained_of(study, recipe, trial), position=trial.samples, lineage=(first_step(spec, trial),))
