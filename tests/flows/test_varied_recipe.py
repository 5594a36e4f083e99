"""A point of a space as a recipe: what it says of dropout and of the strength of augmentation."""

import pytest

from flows.translation import configured_recipe, varied_recipe
from modules.augmentation.strength import strengths_of
from modules.config import Variations, resolve
from tests.unit.tiny_study import make_data, tiny_recipe


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("varied"))


def recipe_at(data, **values):
    values = {key.replace("__", "."): value for key, value in values.items()}
    recipe = tiny_recipe()
    return varied_recipe(recipe, Variations(()).settings(values), values, data, recipe.augmentation)


def test_dropout_at_the_networks_own_rate_is_the_recipe_itself(data):
    assert recipe_at(data, training__dropout=0.2) == tiny_recipe()
    assert recipe_at(data, training__dropout=0.4) == tiny_recipe(dropout=0.4)
    assert recipe_at(data, training__dropout=0.0).dropout == 0.0


def test_the_strength_is_times_that_of_the_recipes_transforms(data):
    assert recipe_at(data, augmentation__strength=1.0) == tiny_recipe()
    (shift,) = recipe_at(data, augmentation__strength=2.0).augmentation
    assert strengths_of(shift) == {"max_pixels": 2.0}
    assert recipe_at(data, augmentation__strength=0.0).augmentation == ()


def test_labels_are_smoothed_if_asked_for(data):
    assert configured_recipe(resolve([]), data).label_smoothing == 0.0
    assert configured_recipe(resolve(["training.label_smoothing=0.2"]), data).label_smoothing == 0.2
    assert recipe_at(data, training__label_smoothing=0.0).label_smoothing == 0.0


def test_a_fraction_of_the_images(data):
    selection = recipe_at(data, selection="random", selection__fraction=0.3).selection
    assert (selection.name, selection.arguments["fraction"]) == ("RandomFraction", 0.3)
