"""When generations of a pretrained network train everything of it, without a worker."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows import shrinking
from modules.config import resolve
from modules.records import Step
from modules.search.generation import Trained, Trunk
from tests.unit.tiny_study import schedule, tiny_recipe

FIRST = tiny_recipe()
HEAD = tiny_recipe(frozen_until="pool1", augmentation=(), learning_rate=1e-4)


def begun(generations: int, *overrides: str) -> Trunk:
    study: Any = SimpleNamespace(settings=resolve(overrides))
    trial: Any = SimpleNamespace(key="head", weights_sha256="digest")
    step = Step(trial="head", seed=0, slice={}, schedule=schedule("Constant"))
    trunk = Trunk(Trained(HEAD, (trial,), None), 0, lineage=(step,))  # type: ignore[arg-type]
    plan: Any = SimpleNamespace(generations=generations, slice_samples=400)
    return shrinking.begin_to_shrink(study, plan, trunk, SimpleNamespace(first=FIRST))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("generations", "overrides", "excess", "thaws"),
    [
        (2, [], None, False),
        (2, [], "too many parameters", True),
        (2, ["search.generations=2"], None, True),
        (0, ["search.generations=2"], None, False),  # there is no room for them
        (0, ["search=none"], "too many parameters", False),
    ],
)
def test_everything_is_trained_where_generations_follow(
    monkeypatch: pytest.MonkeyPatch, generations: int, overrides: list[str], excess: str | None, thaws: bool
) -> None:
    monkeypatch.setattr(shrinking, "excess_of", lambda study, architecture: excess)
    trunk = begun(generations, *overrides)
    recipe = trunk.trained.recipe
    if not thaws:
        assert (recipe, len(trunk.lineage)) == (HEAD, 1)
        return
    assert (recipe.frozen_until, recipe.augmentation, recipe.learning_rate) == (None, FIRST.augmentation, 0.01)
    assert recipe.averaging.arguments == {"half_life_samples": 100.0}
    assert recipe.distillation is not None
    assert recipe.distillation.teacher == "head"
    assert trunk.lineage[-1].edit is not None
