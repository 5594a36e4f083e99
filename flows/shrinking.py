"""A pretrained network that generations are to change, as where it costs more than it may: what they train of it."""

from dataclasses import replace

from flows.limits import excess_of
from flows.study import Study
from flows.transfer import Planted
from flows.translation import configured_teacher
from modules.recipe import Recipe
from modules.search.contest import change_part
from modules.search.first_recipe import averaging_within
from modules.search.gears import geared
from modules.search.generation import Trunk
from modules.search.plan import Plan


def begin_to_shrink(study: Study, plan: Plan, trunk: Trunk, planted: Planted) -> Trunk:
    """Beyond a limit: from here on everything is trained, to recover what goes, also by what the network says now.

    So it is where generations are asked for, as edits of what is frozen can learn nothing.
    """
    now = trunk.trained
    is_asked_for = bool(study.settings.search.generations)
    if not plan.generations or (not is_asked_for and excess_of(study, now.recipe.architecture) is None):
        return trunk
    recipe = _thawed(now.recipe, planted)
    teacher = configured_teacher(study.settings, now.first.key, now.first.weights_sha256)
    recipe = averaged_within_slices(study, plan, recipe.updated(distillation=teacher))
    if recipe == now.recipe:
        return trunk
    # A step without a training of its own: what comes next starts from the same weights with another recipe.
    step = trunk.lineage[-1].updated(edit=change_part(now.recipe, recipe), recipe=None, start=None)
    return replace(trunk, trained=replace(now, recipe=recipe), lineage=(*trunk.lineage, step))


def averaged_within_slices(study: Study, plan: Plan, recipe: Recipe) -> Recipe:
    """With an average short enough to show what a slice recovers, where its half-life is left to the rule.

    The rule goes by slices of networks from new weights, of which one of a pretrained network is a fraction.
    """
    averaging = averaging_within(study.settings.averaging, plan.slice_samples)
    return recipe if averaging == study.settings.averaging else recipe.updated(averaging=averaging)


def _thawed(recipe: Recipe, planted: Planted) -> Recipe:
    if recipe.frozen_until is None:
        return recipe
    first = planted.first
    return geared(recipe, first, "all", first.learning_rate, first.first_layer_rate)
