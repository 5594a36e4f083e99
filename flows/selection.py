"""The images that a study trains on: those that the configuration names, or those that trainings of their own find."""

from functools import partial
from typing import Protocol

import numpy as np

from flows.allowance import affordable_samples
from flows.decisions import Question
from flows.orchestration import task
from flows.selection_reporting import keep_selection
from flows.study import Study
from flows.trials import train_trial
from modules.data.arrays import open_arrays
from modules.errors import ConfigError
from modules.parts import build
from modules.recipe import Recipe
from modules.search.selecting.found import FoundSelection
from modules.search.selecting.workplace import Workplace

_SHARE = 0.25  # of a budget, which finding a selection may take
_SMALLEST = 0.1  # of the epochs that were asked for; with fewer, networks say nothing of an image
_IMBALANCED = 3  # times as many images in the largest class as in the smallest


class Finder(Protocol):
    """What looks for a selection."""

    num_trials: int  # at most

    def epochs_trained(self) -> float:
        """In epochs of all training images, what finding it takes."""

    def find(self, workplace: Workplace) -> FoundSelection:
        """Train and choose."""


def say_imbalance(study: Study, recipe: Recipe) -> None:
    """That classes are of very unequal sizes, where nothing is done about it."""
    data = study.laboratory.data
    arrays = open_arrays(study.home, data)
    counts = np.bincount(arrays.labels[arrays.indices("train")], minlength=len(data.classes))
    if recipe.balance is None and counts.max() >= _IMBALANCED * counts.min():
        study.progress.say(
            f"note: class {data.classes[counts.argmin()]!r} has {counts.min():,} training images, "
            f"{data.classes[counts.argmax()]!r} {counts.max():,}; balance=weights or balance=sampling evens them out"
        )


def say_cost(study: Study) -> None:
    """What finding the selection trains, where one has to be found."""
    if study.settings.finds_selection:
        finder: Finder = build(study.settings.selection)
        samples = finder.epochs_trained() * study.laboratory.data.num_images["train"]
        study.progress.say(
            f"before that, selection={study.settings.selection.name.lower()} trains up to {finder.num_trials} "
            f"networks, {samples:,.0f} samples, or a quarter of the budget"
        )


def check_selection(study: Study, recipe: Recipe) -> None:
    """ConfigError where the selection that the configuration names keeps no training image, or none of a class."""
    data = study.laboratory.data
    arrays, kept = open_arrays(study.home, data).under(recipe.selection)
    counts = np.bincount(arrays.labels[kept], minlength=len(data.classes))
    if counts.all():
        return
    lost = f" of class {data.classes[counts.argmin()]!r}" if counts.any() else ""
    said = ", ".join(f"selection.{name}={value}" for name, value in recipe.selection.arguments.items())
    raise ConfigError(
        f"{said} keeps none of the training images{lost}; allowed is a selection that was found on these images and "
        "keeps some of each class, or selection=none"
    )


def find_selection(study: Study, recipe: Recipe) -> Recipe:
    """The recipe with the selection that was found, where the configuration asks for one to be found."""
    if not study.settings.finds_selection:
        check_selection(study, recipe)
        return recipe
    finder: Finder = build(study.settings.selection)
    share = study.decided(Question.SELECTION_SHARE.key(), lambda: _affordable(study, recipe, finder))
    if share < 1:
        study.progress.say(
            f"note: a quarter of the budget pays for {share:.0%} of the epochs that selection="
            f"{study.settings.selection.name.lower()} asks for; no more are trained"
        )
    workplace = Workplace(
        laboratory=study.laboratory,
        recipe=recipe,
        train=partial(train_trial, study),
        seed=study.seed,
        margin=study.settings.objective.margin,
        share=share,
    )
    return adopt_selection(study, recipe, finder.find(workplace))


@task("select training images")
def adopt_selection(study: Study, recipe: Recipe, found: FoundSelection) -> Recipe:
    """The recipe with what was found, which is said, and whose suspects are left for a person to look at."""
    study.found = found
    keep_selection(study, found)
    return recipe.updated(selection=found.selection)


def _affordable(study: Study, recipe: Recipe, finder: Finder) -> float:
    """The share of the epochs asked for that a quarter of the budget pays for, at most all of them."""
    name = study.settings.selection.name.lower()
    affordable = affordable_samples(study, recipe, _SHARE, finder.num_trials, f"selection={name}")
    samples = finder.epochs_trained() * study.laboratory.data.num_images["train"]
    room = samples if affordable is None else min(samples, affordable)
    share = room / samples
    if share < _SMALLEST:
        larger = f"{_SMALLEST / share:.1f} times as large" if share else "larger"
        raise ConfigError(
            f"selection={name} trains {samples:,.0f} samples and a quarter of the budget pays for {room:,.0f}; "
            f"allowed are a budget that is {larger}, fewer selection.epochs, or selection=none"
        )
    return share
