"""The learning rate that a range test speaks for, by one rule for the study, a race and a search."""

from flows.study import Study
from modules.recipe import Recipe
from modules.records import RangeTest
from modules.search.first_recipe import range_test_fits
from modules.training.spec import RANGE_TEST_UPDATES


def found_rate(study: Study, recipe: Recipe) -> RangeTest | None:
    """From rates around the recipe's own; None where none is wanted, or the test would take longer than it is worth."""
    return study.laboratory.find_rate(recipe, study.settings.seed) if finds_rate(study, recipe) else None


def finds_rate(study: Study, recipe: Recipe) -> bool:
    """Whether a range test is done where nobody has given a rate."""
    fits = range_test_fits(recipe.batch_size, study.laboratory.num_selected(recipe))
    return study.settings.training.find_rate and fits


def range_test_samples(study: Study, recipe: Recipe, count: int) -> int:
    """What so many range tests of a recipe with other optimisers train."""
    return count * RANGE_TEST_UPDATES * recipe.batch_size if finds_rate(study, recipe) else 0
