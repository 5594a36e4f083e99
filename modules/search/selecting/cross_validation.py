"""What networks say of images that they were not trained on: k-fold cross-validation with a cheap recipe."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modules.data.parts import group_keys
from modules.errors import DataError
from modules.evaluation.outputs import Outputs
from modules.records import PartName, TrialResult
from modules.search.selecting.workplace import Workplace
from modules.selection.folds import folds_of


@dataclass(frozen=True)
class CrossValidation:
    """One network a fold, trained on all folds but that one."""

    workplace: Workplace
    folds: NDArray[np.int64]  # of each training image
    trials: tuple[TrialResult, ...]

    def outputs(self, part: PartName) -> tuple[Outputs, ...]:
        """What each network says of a part."""
        return tuple(
            self.workplace.laboratory.observe(self.workplace.recipe, trial, part, plain=True) for trial in self.trials
        )

    def out_of_sample(self) -> NDArray[np.float32]:
        """Of each training image, the probabilities by the network that was not trained on it."""
        every = np.stack([seen.probabilities for seen in self.outputs("train")])
        return every[self.folds, np.arange(len(self.folds))]

    def mean_of(self, part: PartName) -> NDArray[np.float32]:
        """Of a part that none was trained on, the probabilities by all of them together."""
        mean: NDArray[np.float32] = np.mean([seen.probabilities for seen in self.outputs(part)], axis=0)
        return mean


def cross_validate(workplace: Workplace, num_folds: int, epochs: float) -> CrossValidation:
    """Train a network for each fold; DataError where the images are too few or too much alike for so many."""
    arrays = workplace.arrays
    train = arrays.indices("train")
    folds = folds_of(group_keys(arrays.images)[train], num_folds, workplace.seed(0))
    _check(folds, arrays.labels[train], num_folds, workplace.laboratory.data.classes)
    trials = tuple(
        workplace.trained_on(workplace.kept(train[folds != fold]), epochs, fold, f"fold {fold + 1} of {num_folds}")
        for fold in range(num_folds)
    )
    return CrossValidation(workplace, folds, trials)


def _check(folds: NDArray[np.int64], labels: NDArray[np.int64], num_folds: int, classes: tuple[str, ...]) -> None:
    for fold in range(num_folds):
        if not (folds == fold).any():
            raise DataError(
                f"{len(folds)} training images make no {num_folds} folds: fold {fold + 1} is empty; allowed are fewer "
                "folds (selection.folds), more images, or selection=none"
            )
        seen = np.bincount(labels[folds != fold], minlength=len(classes))
        if missing := [name for name, count in zip(classes, seen, strict=True) if count == 0]:
            raise DataError(
                f"class {missing[0]!r} has too few training images for {num_folds} folds: all of them are in one; "
                "allowed are more images of it, or selection=none"
            )
