"""Training without the images whose labels are suspected, or under the labels that they are thought to have."""

from typing import Literal, NamedTuple

import numpy as np

from modules.records import Part
from modules.search.selecting.cross_validation import CrossValidation, cross_validate
from modules.search.selecting.found import FoundSelection
from modules.search.selecting.suspicion import listed, suspects_by_part, without_suspects
from modules.search.selecting.workplace import Workplace
from modules.selection.kept import AS_GIVEN
from modules.selection.label_errors import Rule, Suspects

Treatment = Literal["left_out", "relabelled"]


class Cleaned(NamedTuple):
    """A selection, of how many images it does not trust the label, and what to know of it."""

    selection: Part
    num_suspected: int
    notes: tuple[str, ...]


class Clean:
    """Confident learning on what `folds` networks say of the images that they were not trained on."""

    def __init__(
        self,
        folds: int = 4,
        epochs: float = 3.0,
        rule: Rule = "both",
        confidence: float = 0.6,
        suspects: Treatment = "left_out",
    ) -> None:
        self.folds = folds
        self.epochs = epochs
        self.rule = rule
        self.confidence = confidence
        self.suspects = suspects
        self.num_trials = folds

    def epochs_trained(self) -> float:
        """In epochs of all training images, what finding it takes."""
        return (self.folds - 1) * self.epochs

    def find(self, workplace: Workplace) -> FoundSelection:
        """Cross-validate, and leave out or relabel whom it makes suspect."""
        validation = cross_validate(workplace, self.folds, self.epochs)
        suspects = suspects_by_part(validation, self.rule, self.confidence)
        done = cleaned(validation, suspects["train"], self.suspects)
        return FoundSelection(
            method="clean",
            selection=done.selection,
            num_images=len(validation.folds),
            num_kept=workplace.count(done.selection),
            sentences=(
                f"{'left out of training' if self.suspects == 'left_out' else 'trained on under another label'}: "
                f"{done.num_suspected:,} of {len(validation.folds):,} images, whose labels are suspected; steer and "
                "confirm keep theirs",
                *done.notes,
            ),
            num_suspects={part: len(found) for part, found in suspects.items()},
            suspects=listed(validation, suspects),
        ).with_trials(validation.trials)


def cleaned(validation: CrossValidation, suspects: Suspects, treatment: Treatment) -> Cleaned:
    """Without the suspects, or with all images and the labels that the networks would give to the suspects."""
    workplace = validation.workplace
    arrays, classes = workplace.arrays, workplace.laboratory.data.classes
    train = arrays.indices("train")
    trusted, spared = without_suspects(arrays.labels[train], suspects)
    if treatment == "left_out":
        selection = workplace.kept(train[trusted])
    else:
        labels = np.full(len(train), AS_GIVEN)
        labels[suspects.indices] = suspects.suggested
        labels[trusted] = AS_GIVEN
        selection = workplace.kept(train, labels)
    notes = tuple(
        f"class {classes[label]!r} keeps all its labels: the networks take more than half of them for others"
        for label in spared
    )
    return Cleaned(selection, len(train) - len(trusted), notes)
