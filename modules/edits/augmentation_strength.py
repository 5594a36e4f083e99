"""Augment more strongly, or less: the network stays as it is, and what it is trained on changes."""

from dataclasses import dataclass
from typing import Any, ClassVar

from modules.augmentation.strength import strengthened, strengths_of
from modules.edits.recipe_edit import RecipeEdit, Revised
from modules.recipe import Recipe

REVISION = 1

_STRONGER, _WEAKER = "stronger", "weaker"


@dataclass(frozen=True)
class AugmentationStrength(RecipeEdit):
    """Multiplies the strengths of all transforms by `factor`, or divides them by it."""

    site_arguments: ClassVar[tuple[str, ...]] = ("direction",)

    direction: str
    factor: float = 1.5

    @classmethod
    def sites(cls, recipe: Recipe) -> tuple[dict[str, Any], ...]:
        """Both directions, where there is something that has a strength."""
        has_strength = any(strengths_of(part) for part in recipe.augmentation)
        return ({"direction": _STRONGER}, {"direction": _WEAKER}) if has_strength else ()

    def revise(self, recipe: Recipe) -> Revised:
        """Change the transforms."""
        if self.factor <= 1:
            raise ValueError(f"factor must be above 1 to change the strength of augmentation, got {self.factor}")
        if self.direction not in (_STRONGER, _WEAKER):
            raise ValueError(f"direction is {self.direction!r}; allowed are {_STRONGER}, {_WEAKER}")
        by = self.factor if self.direction == _STRONGER else 1 / self.factor
        transforms = strengthened(recipe.augmentation, by)
        changed = [new.name for old, new in zip(recipe.augmentation, transforms, strict=True) if old != new]
        if not changed:
            raise ValueError(f"no transform can be made {self.direction}: {_names(recipe)}")
        return Revised(
            recipe.updated(augmentation=transforms), f"augment {by:.2g} times as strongly: {', '.join(changed)}"
        )


def _names(recipe: Recipe) -> str:
    return ", ".join(part.name for part in recipe.augmentation) or "there is none"
