"""Another recipe for the same network: exact, and another optimiser begins without moments."""

import pytest
import torch
from tiny_study import ADAMW, tiny_recipe

from modules.architecture.module import build_module, initial_tensors  # noqa: F401
from modules.edits.change_recipe import ChangeRecipe, changes_between
from modules.edits.editing import apply_edit
from modules.records import Part

SGD = Part(target="torch.optim.SGD", arguments={"momentum": 0.9, "weight_decay": 0.0})
TARGET = "modules.edits.change_recipe.ChangeRecipe"


def applied(changes):
    recipe = tiny_recipe()
    torch.manual_seed(0)
    network = build_module(recipe.architecture)
    tensors = network.state_dict()
    state = {f"{section}.{name}": value for section in ("model", "ema") for name, value in tensors.items()}
    state |= {f"optimizer.exp_avg.{name}": torch.ones_like(value) for name, value in network.named_parameters()}
    part = Part(target=TARGET, arguments={"changes": changes})
    return recipe, state, apply_edit(part, recipe, state, 0, torch.rand(8, 1, 8, 8))


def test_the_network_stays_and_the_certificate_says_so():
    recipe, state, edited = applied({"learning_rate": 0.5, "batch_size": 8})
    assert edited.certificate.max_logit_change == 0.0
    assert edited.certificate.params_before == edited.certificate.params_after
    assert edited.recipe == recipe.updated(learning_rate=0.5, batch_size=8)
    assert edited.state.keys() == state.keys()
    assert all(torch.equal(edited.state[name], state[name]) for name in state)
    assert edited.description == "train with learning_rate 0.5, batch_size 8"


def test_another_optimiser_begins_without_moments():
    _, state, edited = applied({"optimizer": SGD.model_dump(mode="json"), "learning_rate": 0.1})
    assert edited.recipe.optimizer == SGD
    assert set(edited.state) == {name for name in state if not name.startswith("optimizer.")}
    assert edited.description == "train with optimizer SGD (momentum 0.9, weight_decay 0), learning_rate 0.1"


def test_the_same_optimiser_with_other_arguments_keeps_them():
    other = ADAMW.updated(arguments={"weight_decay": 0.5})
    _, state, edited = applied({"optimizer": other.model_dump(mode="json")})
    assert edited.state.keys() == state.keys()


def test_what_lies_between_two_recipes_leads_from_one_to_the_other():
    before = tiny_recipe()
    after = before.updated(optimizer=SGD, label_smoothing=0.1, gradient_clip=1.0, augmentation=())
    assert ChangeRecipe(changes_between(before, after)).revise(before).recipe == after
    assert changes_between(before, before) == {}


@pytest.mark.parametrize("changes", [{}, {"architecture": {}}, {"learning_rate": -1.0}, {"learning_rat": 1.0}])
def test_nonsense_is_refused(changes):
    with pytest.raises(ValueError, match=r".+"):
        ChangeRecipe(changes).revise(tiny_recipe())


def test_nobody_draws_it():
    assert ChangeRecipe.sites(tiny_recipe()) == ()
