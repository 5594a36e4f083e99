"""Edits of the recipe: the network stays to the last bit, and so do the weights."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from applying import part_of
from random_networks import random_images, random_state, recipe_of

from modules.architecture.start import first_architecture
from modules.edits import editing
from modules.edits.augmentation_strength import AugmentationStrength
from modules.edits.editing import apply_edit
from modules.edits.recipe_edit import RecipeEdit, Revised
from modules.errors import EditError
from modules.records import Part

ARCHITECTURE = first_architecture((1, 8, 8), 10, 1000, (0.2,), (0.3,))


def transform(name, **arguments):
    return Part(target=f"modules.augmentation.{name.lower()}.{name}", arguments=arguments)


ROTATE, FLIP = transform("Rotate", max_degrees=10.0, padding="zeros"), transform("Flip", probability=0.5)
CROP = transform("Crop", min_fraction=0.8, padding="border")
RECIPE = recipe_of(ARCHITECTURE).updated(augmentation=(ROTATE, FLIP, CROP))


def revised(direction, recipe=RECIPE, factor=2.0):
    return AugmentationStrength(direction, factor).revise(recipe)


def test_strengths_move_away_from_doing_nothing_and_towards_it():
    stronger = revised("stronger")
    assert stronger.recipe.augmentation[0].arguments == {"max_degrees": 20.0, "padding": "zeros"}
    assert stronger.recipe.augmentation[1] == FLIP
    assert stronger.recipe.augmentation[2].arguments["min_fraction"] == pytest.approx(0.6)
    assert stronger.description == "augment 2 times as strongly: Rotate, Crop"
    weaker = revised("weaker").recipe.augmentation
    assert weaker[0].arguments["max_degrees"] == 5.0
    assert weaker[2].arguments["min_fraction"] == pytest.approx(0.9)
    assert revised("weaker", stronger.recipe).recipe == RECIPE


def test_strengths_stay_within_what_their_yamls_allow():
    extreme = RECIPE.updated(augmentation=(transform("Rotate", max_degrees=170.0), transform("Posterize", min_bits=2)))
    moved = revised("stronger", extreme).recipe.augmentation
    assert [part.arguments for part in moved] == [{"max_degrees": 180.0}, {"min_bits": 1}]
    with pytest.raises(ValueError, match="no transform can be made stronger: Rotate, Posterize"):
        revised("stronger", extreme.updated(augmentation=moved))


def test_it_fits_where_something_has_a_strength():
    assert AugmentationStrength.sites(RECIPE) == ({"direction": "stronger"}, {"direction": "weaker"})
    assert AugmentationStrength.sites(RECIPE.updated(augmentation=())) == ()
    assert AugmentationStrength.sites(RECIPE.updated(augmentation=(FLIP,))) == ()


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (AugmentationStrength("sideways"), "direction is 'sideways'; allowed are stronger, weaker"),
        (AugmentationStrength("stronger", 1.0), "factor must be above 1"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(edit, words):
    with pytest.raises(ValueError, match=words):
        edit.revise(RECIPE)


def apply(edit, **arguments):
    state = random_state(ARCHITECTURE)
    return state, apply_edit(part_of(edit, **arguments), RECIPE, state, 3, random_images(ARCHITECTURE, 16))


def test_the_network_and_its_state_stay_and_the_certificate_says_so():
    state, outcome = apply(AugmentationStrength, direction="stronger", factor=2.0)
    assert outcome.recipe == revised("stronger").recipe
    assert outcome.certificate.kind == "exact"
    assert outcome.certificate.max_logit_change == 0.0
    assert outcome.certificate.params_before == outcome.certificate.params_after == ARCHITECTURE.params
    assert outcome.changes == ()
    assert set(outcome.state) == set(state)
    assert all(torch.equal(outcome.state[name], state[name]) for name in state)


@dataclass(frozen=True)
class OtherOptimizer(RecipeEdit):
    """What a later edit may be."""

    wider: bool = False
    kind: ClassVar = "exact"

    @classmethod
    def sites(cls, recipe):
        return ({},)

    def revise(self, recipe):
        architecture = first_architecture((1, 8, 8), 10, 1000, (0.2,), (0.3,), width=2.0) if self.wider else None
        changes = {"architecture": architecture} if architecture else {"learning_rate": 0.5}
        return Revised(recipe.updated(**changes), "another optimiser", keeps_moments=False)


def test_moments_that_mean_nothing_any_more_are_left_behind(monkeypatch):
    monkeypatch.setattr(editing, "build", lambda part: OtherOptimizer())
    state, outcome = apply(OtherOptimizer)
    assert any(name.startswith("optimizer.") for name in state)
    assert set(outcome.state) == {name for name in state if not name.startswith("optimizer.")}
    assert outcome.recipe.learning_rate == 0.5


def test_an_edit_of_the_recipe_must_leave_the_architecture(monkeypatch):
    monkeypatch.setattr(editing, "build", lambda part: OtherOptimizer(wider=True))
    with pytest.raises(EditError, match="is an edit of the recipe, but it changed the architecture"):
        apply(OtherOptimizer)
