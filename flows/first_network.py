"""The network that a study begins with: an earlier winner's, or one as wide as the limits and the time allow."""

from functools import partial

from flows import reporting
from flows.allowance import seconds_for
from flows.decisions import Question
from flows.limits import check_limits, excess_of
from flows.orchestration import task
from flows.study import Study
from flows.translation import configured_limits, configured_teacher, configured_wishes
from modules.recipe import Recipe
from modules.search.contest import change_part
from modules.search.earlier import EarlierWinner, read_earlier_winner
from modules.search.first_recipe import leaves_width_open, model_of
from modules.search.laboratory import Inherited
from modules.search.limits import Limits
from modules.search.sizing import affordable_flops, fitting_width
from modules.training.spec import Start


def decided_width(study: Study) -> float | None:
    """Of the first network, where limits or a clock decided it."""
    key = Question.WIDTH.key()
    width: float | None = study.decided(key, lambda: None) if study.has_decided(key) else None
    return width


@task("find the earlier winner")
def find_earlier_winner(study: Study) -> EarlierWinner | None:
    """The network and the state that search.start names; the one that was found at first, should that study change."""
    name = study.settings.search.start
    if name is None:
        return None
    found = study.decided(Question.START.key(), lambda: _checked_winner(study, name).model_dump(mode="json"))
    study.progress.say(f"goes on from the winner of study {name}")
    return EarlierWinner.model_validate(found)


def _checked_winner(study: Study, name: str) -> EarlierWinner:
    earlier, data = read_earlier_winner(study.home, name), study.laboratory.data
    earlier.check_suits(data)
    earlier.check_unseen(data, study.home)
    return earlier


def first_start(study: Study, recipe: Recipe, earlier: EarlierWinner | None) -> Start | None:
    """The state that the first training goes on from, without the moments of another optimiser; None: new weights."""
    if earlier is None or earlier.optimizer is None or earlier.optimizer.target == recipe.optimizer.target:
        return earlier.start if earlier else None
    before = recipe.updated(optimizer=earlier.optimizer)
    inherited = study.laboratory.inherit(change_part(before, recipe), before, earlier.start, study.seed(0))
    assert isinstance(inherited, Inherited), inherited  # a recipe that was checked fits any network
    return inherited.start


@task("size the first network")
def size_network(study: Study, recipe: Recipe, earlier: EarlierWinner | None) -> Recipe:
    """The recipe with a network within the limits and, under a budget of time or energy, as wide as that pays for."""
    settings, data = study.settings, study.laboratory.data
    limits, key = configured_limits(settings), Question.WIDTH.key()
    if earlier is not None:
        recipe = _taken_over(study, recipe, earlier)
    elif leaves_width_open(settings.model) and (_is_bounded(study, limits) or study.has_decided(key)):
        width = study.decided(key, lambda: _fitting_width(study, recipe, limits))
        recipe = recipe.updated(architecture=model_of(settings.model, data, width))
    check_limits(study, recipe.architecture)
    reporting.say_recipe(study, recipe)
    return recipe


def _taken_over(study: Study, recipe: Recipe, earlier: EarlierWinner) -> Recipe:
    """An earlier winner's network, trained as it was where nothing else is said; what has to shrink learns from it."""
    training, transfer, recipe = study.settings.training, study.settings.transfer, earlier.taken_over(recipe)
    smoothing = earlier.label_smoothing
    if earlier.frozen_until is not None:  # from here on everything is trained
        smoothing, recipe = transfer.label_smoothing, recipe.updated(first_layer_rate=transfer.first_layer_rate)
    if training.label_smoothing is None and smoothing is not None:
        recipe = recipe.updated(label_smoothing=smoothing)
    if (rate := rate_taken_over(study, recipe, earlier)) is not None:
        recipe = recipe.updated(learning_rate=rate)
    if earlier.weights_sha256 is not None and excess_of(study, recipe.architecture) is not None:
        teacher = configured_teacher(study.settings, earlier.start.key, earlier.weights_sha256)
        recipe = recipe.updated(distillation=teacher)
    return recipe


def rate_taken_over(study: Study, recipe: Recipe, earlier: EarlierWinner | None) -> float | None:
    """The learning rate of an earlier winner, where none is given: a range test would ask new weights for theirs."""
    if earlier is None or study.settings.training.learning_rate is not None:
        return None
    if earlier.frozen_until is not None:
        return study.settings.transfer.learning_rates[0]
    is_alike = (earlier.optimizer, earlier.batch_size) == (recipe.optimizer, recipe.batch_size)
    return earlier.learning_rate if is_alike else None


def _is_bounded(study: Study, limits: Limits) -> bool:
    return configured_wishes(study.settings).needs_calibration or any(limits.given())


def _fitting_width(study: Study, recipe: Recipe, limits: Limits) -> float:
    settings, laboratory = study.settings, study.laboratory
    wishes, searched, most = configured_wishes(settings), settings.search.kind != "none", None
    if wishes.needs_calibration:
        num_train, calibration = laboratory.data.num_images["train"], laboratory.calibrate(recipe)
        most = affordable_flops(recipe.architecture, calibration, num_train, seconds_for(study, calibration), searched)
    build = partial(model_of, settings.model, laboratory.data)
    return fitting_width(build, limits, most, laboratory.latency_ms)
