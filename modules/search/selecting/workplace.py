"""What a search for a selection works with: a cheap recipe, and a way to have it trained."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from modules.data.arrays import Arrays, open_arrays
from modules.randomness import uniform
from modules.recipe import Recipe
from modules.records import Part, TrialResult
from modules.search.laboratory import Laboratory
from modules.selection.hardness import lowest_of_each_class
from modules.selection.kept import keeping
from modules.training.spec import Slice, Start, TrialSpec

KEEP_ALL = Part(target="modules.selection.keep_all.KeepAll")


@dataclass(frozen=True)
class Workplace:
    """Trains `recipe` on selections of the training images; `train` is given a trial and the role it plays."""

    laboratory: Laboratory
    recipe: Recipe
    train: Callable[[TrialSpec, str], TrialResult]
    seed: Callable[[int], int]  # of the first, second, … training of a recipe
    margin: float = 0.0  # of the loss, by which a smaller selection may be worse
    share: float = 1.0  # of the epochs that are asked for, where the budget pays for no more

    @cached_property
    def arrays(self) -> Arrays:
        """The data."""
        return open_arrays(self.laboratory.home, self.laboratory.data)

    def count(self, selection: Part) -> int:
        """How many training images a selection keeps."""
        return len(self.arrays.selected(selection))

    def kept(self, indices: NDArray[np.int64], labels: NDArray[np.int64] | None = None) -> Part:
        """The selection of the images at these places of the arrays; `labels` for others than theirs, -1 for theirs."""
        return keeping(self.laboratory.store, self.arrays.identities[indices], self.arrays.labels[indices], labels)

    def random_like(self, selection: Part) -> Part:
        """A random selection with as many images of each class."""
        arrays = self.arrays
        train = arrays.indices("train")
        counts = np.bincount(arrays.labels[arrays.selected(selection)], minlength=int(arrays.labels.max()) + 1)
        draws = uniform("random like", self.seed(0), arrays.identities[train])
        return self.kept(train[lowest_of_each_class(draws, arrays.labels[train], draws, counts)])

    def trained_on(
        self, selection: Part, epochs: float, replicate: int, role: str, samples: int | None = None
    ) -> TrialResult:
        """The recipe trained for some epochs of a selection, or for so many samples."""
        recipe = self.recipe.updated(selection=selection)
        return self.trained(recipe, samples or self.samples(selection, epochs), 0, None, replicate, role)

    def samples(self, selection: Part, epochs: float) -> int:
        """Of some epochs of a selection."""
        return max(1, round(self.share * epochs * self.count(selection)))

    def trained(
        self, recipe: Recipe, samples: int, first_sample: int, start: Start | None, replicate: int, role: str
    ) -> TrialResult:
        """A recipe trained for so many samples, looked at once, at the end."""
        piece = Slice(samples=samples, evaluate_every=samples, first_sample=first_sample)
        return self.train(self.laboratory.spec(recipe, piece, self.seed(replicate), start), role)
