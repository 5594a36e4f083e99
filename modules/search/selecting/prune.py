"""Training on a fraction of the images, chosen by how hard they are to learn."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modules.randomness import uniform
from modules.records import Part, TrialResult
from modules.search.climbing import start_of
from modules.search.rungs import constant
from modules.search.selecting.cross_validation import CrossValidation, cross_validate
from modules.search.selecting.found import FoundSelection
from modules.search.selecting.suspicion import WORTH_CLEANING
from modules.search.selecting.workplace import KEEP_ALL, Workplace
from modules.selection.hardness import el2n, forgetting, keep_by_score

Score = Literal["el2n", "forgetting"]
End = Literal["hard", "easy"]

_MOST: dict[End, str] = {"hard": "hardest", "easy": "easiest"}
ENOUGH = 50  # kept images of a class, from which the hard ones teach more; 80 did, 16 did not (LOG.md)
_WARNING = (
    "among the hardest images are those whose labels are wrong: selection=auto leaves out those that it suspects, if "
    f"they are {WORTH_CLEANING:.1%} of all or more",
)
_NAMES: dict[Score, str] = {"el2n": "EL2N", "forgetting": "how often they are forgotten"}


class Prune:
    """Keeps `fraction` of each class by a score; `keep` None: the hard ones, unless they would be few."""

    def __init__(
        self,
        fraction: float = 0.5,
        score: Score = "el2n",
        keep: End | None = None,
        folds: int = 4,
        epochs: float = 2.0,
        looks: int = 12,
    ) -> None:
        self.fraction = fraction
        self.score = score
        self.keep = keep
        self.folds = folds
        self.epochs = epochs
        self.looks = looks
        self.num_trials = looks if score == "forgetting" else folds

    def epochs_trained(self) -> float:
        """In epochs of all training images, what finding it takes."""
        return self.epochs if self.score == "forgetting" else (self.folds - 1) * self.epochs

    def find(self, workplace: Workplace) -> FoundSelection:
        """Score and keep."""
        if self.score == "forgetting":
            trials, right = followed(workplace, self.epochs, self.looks)
            scores = forgetting(right)
        else:
            validation = cross_validate(workplace, self.folds, self.epochs)
            trials, scores = [*validation.trials], hardness_of(validation)
        end = self.keep or end_by_number(workplace, self.fraction)
        kept = pruned(workplace, scores, self.fraction, end)
        num_images = len(scores)
        return FoundSelection(
            method="prune",
            selection=kept,
            num_images=num_images,
            num_kept=workplace.count(kept),
            sentences=(
                f"trained on: the {workplace.count(kept):,} {_MOST[end]} of {num_images:,} images by "
                f"{_NAMES[self.score]}, class by class",
                *(_WARNING if end == "hard" else ()),
            ),
        ).with_trials(trials)


def hardness_of(validation: CrossValidation) -> NDArray[np.float64]:
    """EL2N of the training images, averaged over the networks of all folds."""
    every = validation.outputs("train")
    return el2n(every[0].labels, np.stack([seen.probabilities for seen in every]))


def end_by_number(workplace: Workplace, fraction: float) -> End:
    """Which end to keep: few images teach most where they are typical, many where they are not (Sorscher et al. 2022,
    arXiv:2206.14486)."""
    data = workplace.laboratory.data
    return "hard" if fraction * data.num_images["train"] / len(data.classes) >= ENOUGH else "easy"


def pruned(workplace: Workplace, scores: NDArray[np.float64], fraction: float, end: End) -> Part:
    """The selection of a fraction by score."""
    arrays = workplace.arrays
    train = arrays.indices("train")
    ties = uniform("prune", arrays.identities[train])
    return workplace.kept(train[keep_by_score(scores, arrays.labels[train], ties, fraction, end)])


def followed(workplace: Workplace, epochs: float, looks: int) -> tuple[list[TrialResult], NDArray[np.bool_]]:
    """One training at a constant rate in so many pieces, and which images were right after each (looks x N)."""
    no_average = Part(target="modules.training.averages.none.NoAverage")
    recipe = workplace.recipe.updated(schedule=constant(), averaging=no_average)
    samples = max(1, workplace.samples(KEEP_ALL, epochs) // looks)
    trials: list[TrialResult] = []
    right, start = [], None
    for look in range(looks):
        role = f"forgetting, piece {look + 1} of {looks}"
        trial = workplace.trained(recipe, samples, look * samples, start, 0, role)
        start = start_of(trial)
        right.append(~workplace.laboratory.observe(recipe, trial, "train", plain=True).wrong)
        trials.append(trial)
    return trials, np.stack(right)
