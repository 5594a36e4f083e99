"""How much of a pretrained network is trained, and what judging that takes.

Three gears: the last layer alone, on features that are computed once; the blocks of the coarsest planes too; all.
"""

import math
from typing import Literal

from modules.architecture.description import Architecture
from modules.architecture.nodes import GlobalPool
from modules.recipe import Recipe
from modules.records import Record
from modules.search.plan import Thaw

Gear = Literal["upper", "all"]


class TriedRate(Record):
    """A learning rate of a gear, tried on one fold: what was said of that and of *steer*; None where it failed."""

    gear: Gear
    learning_rate: float
    loss: float | None = None
    error: float | None = None
    asked: int = 0
    chosen: bool = False


class Gears(Record):
    """How gears were judged by cross-validation."""

    folds: int
    asked: int  # images that gears and head were compared on
    tried: tuple[TriedRate, ...]  # empty where there was one rate


def upper_cut(architecture: Architecture) -> str | None:
    """The cut before the coarsest planes that has the fewest values, so that most can be kept; None: there is none."""
    shapes = architecture.shapes()
    pool = next((node for node in architecture.nodes if isinstance(node, GlobalPool)), None)
    if pool is None:
        return None
    last = shapes[pool.inputs[0]]
    coarser = [name for name in architecture.cuts() if len(shapes[name]) == 3 and shapes[name][1] > last[1]]
    return min(reversed(coarser), key=lambda name: math.prod(shapes[name]), default=None)


def geared(recipe: Recipe, first: Recipe, gear: Gear, rate: float, first_layer_rate: float) -> Recipe:
    """A head's recipe with more of the network trained; augmentation is drawn anew again where everything is.

    `first` is the recipe as it was before anything was frozen.
    """
    cut = upper_cut(recipe.architecture) if gear == "upper" else None
    kept = cut is not None
    return recipe.updated(
        frozen_until=cut,
        augmentation=recipe.augmentation if kept else first.augmentation,
        augmentation_copies=recipe.augmentation_copies if kept else first.augmentation_copies,
        mixing=None if kept else first.mixing,
        label_smoothing=first.label_smoothing,
        learning_rate=rate,
        first_layer_rate=math.sqrt(first_layer_rate) if kept else first_layer_rate,
    )


def thaw_cost(num_gears: int, num_rates: int, num_folds: int) -> Thaw:
    """What judging gears takes: by folds, else on *steer*, where the favourite is trained with two seeds.

    On the first of the folds each rate is tried, on each other one the best; what is kept is trained on all images. A
    training that leaves out a fold is that much shorter than a slice.
    """
    if not num_gears:
        return Thaw()
    if not num_folds:
        return Thaw(slices=num_gears + 1, trials=num_gears + 1)
    each = num_rates + num_folds - 1
    return Thaw(slices=num_gears * (each - 1) + 1, heads=num_folds - 1, trials=num_folds + num_gears * each + 1)
