"""Train the network otherwise, as a contest found: an edit that no finding asks for and nobody draws."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from modules.edits.recipe_edit import RecipeEdit, Revised
from modules.recipe import Recipe

REVISION = 1


@dataclass(frozen=True)
class ChangeRecipe(RecipeEdit):
    """Other values, as JSON, for some fields of the recipe. Another optimiser begins without moments."""

    site_arguments: ClassVar[tuple[str, ...]] = ("changes",)

    changes: dict[str, Any]

    @classmethod
    def sites(cls, recipe: Recipe) -> tuple[dict[str, Any], ...]:
        """None: what is worth changing is for a contest to find."""
        return ()

    def revise(self, recipe: Recipe) -> Revised:
        """Change the fields."""
        if "architecture" in self.changes:
            raise ValueError("the architecture is for other edits to change")
        if not self.changes:
            raise ValueError("there is nothing to change")
        revised = recipe.updated(**self.changes)
        said = ", ".join(f"{name} {_said(value)}" for name, value in self.changes.items())
        keeps = revised.optimizer.target == recipe.optimizer.target
        return Revised(revised, f"train with {said}", keeps_moments=keeps)


def changes_between(before: Recipe, after: Recipe) -> dict[str, Any]:
    """The fields in which two recipes differ, as JSON of the second."""
    ours, theirs = before.model_dump(mode="json"), after.model_dump(mode="json")
    return {name: value for name, value in theirs.items() if ours[name] != value}


def _said(value: Any) -> str:
    if isinstance(value, Mapping) and "target" in value:
        inner = ", ".join(f"{name} {_said(each)}" for name, each in value["arguments"].items())
        return str(value["target"]).rpartition(".")[2] + (f" ({inner})" if inner else "")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_said, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)
