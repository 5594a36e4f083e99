"""What a study takes over from an earlier winner that it goes on from, without a worker."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows import first_network
from modules.config import resolve
from modules.recipe import Recipe
from modules.records import Part
from modules.search.earlier import EarlierWinner
from modules.training.spec import Start
from tests.unit.tiny_study import tiny_architecture, tiny_recipe

RECIPE = tiny_recipe(learning_rate=0.02, label_smoothing=0.0)
EARLIER = EarlierWinner(
    study="first",
    architecture=tiny_architecture(),
    start=Start(kind="trials", key="winner", state_sha256="state"),
    optimizer=RECIPE.optimizer,
    frozen_statistics=True,
    first_layer_rate=0.1,
    learning_rate=0.001,
    label_smoothing=0.1,
    weights_sha256="weights",
    batch_size=RECIPE.batch_size,
)


def taken_over(monkeypatch: pytest.MonkeyPatch, earlier: EarlierWinner, excess: str | None, *overrides: str) -> Recipe:
    monkeypatch.setattr(first_network, "excess_of", lambda study, architecture: excess)
    study: Any = SimpleNamespace(settings=resolve(overrides))
    return first_network._taken_over(study, RECIPE, earlier)


def test_how_it_was_trained_goes_with_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = taken_over(monkeypatch, EARLIER, None)
    assert (recipe.learning_rate, recipe.label_smoothing, recipe.distillation) == (0.001, 0.1, None)
    assert (recipe.frozen_statistics, recipe.first_layer_rate) == (True, 0.1)


def test_what_is_asked_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = taken_over(monkeypatch, EARLIER, None, "training.learning_rate=0.02", "training.label_smoothing=0")
    assert (recipe.learning_rate, recipe.label_smoothing) == (0.02, 0.0)


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": RECIPE.optimizer.updated(arguments={**RECIPE.optimizer.arguments, "momentum": 0.9})},
        {"optimizer": Part(target="modules.training.optimizers.muon.Muon")},
        {"batch_size": 2 * RECIPE.batch_size},
    ],
)
def test_another_optimizer_and_another_batch_find_their_own_rate(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    assert taken_over(monkeypatch, EARLIER.updated(**change), None).learning_rate == 0.02


def test_of_a_head_the_rates_of_fine_tuning_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    head = EARLIER.updated(frozen_until="pool1", learning_rate=1e-4, label_smoothing=0.0, first_layer_rate=0.3)
    recipe = taken_over(monkeypatch, head, None, "transfer.learning_rates=[0.002]")
    assert (recipe.learning_rate, recipe.label_smoothing, recipe.first_layer_rate) == (0.002, 0.1, 0.1)
    assert taken_over(monkeypatch, head, None, "training.learning_rate=0.02").learning_rate == 0.02


def test_what_has_to_shrink_learns_from_the_winner(monkeypatch: pytest.MonkeyPatch) -> None:
    distillation = taken_over(monkeypatch, EARLIER, "too many parameters").distillation
    assert distillation is not None
    assert (distillation.teacher, distillation.weights_sha256) == ("winner", "weights")
    assert taken_over(monkeypatch, EARLIER, "too many", "transfer.distillation=null").distillation is None


def test_a_study_that_began_before_goes_on_as_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    before = EARLIER.updated(learning_rate=None, label_smoothing=None, weights_sha256=None, batch_size=None)
    recipe = taken_over(monkeypatch, before, "too many parameters")
    assert (recipe.learning_rate, recipe.label_smoothing, recipe.distillation) == (0.02, 0.0, None)
