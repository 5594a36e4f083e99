"""Edits of what a network is trained with: its augmentation, or anything else of the recipe but its architecture."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from modules.edits.edit import EditKind
from modules.recipe import Recipe


@dataclass(frozen=True)
class Revised:
    """What such an edit made: the recipe, its architecture as it was, and a sentence.

    `keeps_moments` says whether the optimiser's state still means what it did: not where there is another optimiser.
    """

    recipe: Recipe
    description: str
    keeps_moments: bool = True


class RecipeEdit(ABC):
    """Constructed with plain arguments, like any edit. The weights stay, so that it is exact."""

    kind: ClassVar[EditKind] = "exact"
    site_arguments: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @abstractmethod
    def sites(cls, recipe: Recipe) -> tuple[dict[str, Any], ...]:
        """The site arguments of every way in which it fits."""

    @abstractmethod
    def revise(self, recipe: Recipe) -> Revised:
        """Change the recipe; ValueError says why it does not fit."""
