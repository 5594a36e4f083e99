"""Training without the images whose labels are suspected."""

from modules.records import Part
from modules.search.selecting.cross_validation import CrossValidation, cross_validate
from modules.search.selecting.found import FoundSelection
from modules.search.selecting.suspicion import listed, suspects_by_part, without_suspects
from modules.search.selecting.workplace import Workplace
from modules.selection.label_errors import Rule, Suspects


class Clean:
    """Confident learning on what `folds` networks say of the images that they were not trained on."""

    def __init__(self, folds: int = 4, epochs: float = 3.0, rule: Rule = "both", confidence: float = 0.6) -> None:
        self.folds = folds
        self.epochs = epochs
        self.rule = rule
        self.confidence = confidence
        self.num_trials = folds

    def epochs_trained(self) -> float:
        """In epochs of all training images, what finding it takes."""
        return (self.folds - 1) * self.epochs

    def find(self, workplace: Workplace) -> FoundSelection:
        """Cross-validate and leave out whom it makes suspect."""
        validation = cross_validate(workplace, self.folds, self.epochs)
        suspects = suspects_by_part(validation, self.rule, self.confidence)
        kept, notes = cleaned(validation, suspects["train"])
        return FoundSelection(
            method="clean",
            selection=kept,
            num_images=len(validation.folds),
            num_kept=workplace.count(kept),
            sentences=(
                f"left out of training: {len(validation.folds) - workplace.count(kept):,} of {len(validation.folds):,} "
                "images, whose labels are suspected; steer and confirm keep theirs",
                *notes,
            ),
            num_suspects={part: len(found) for part, found in suspects.items()},
            suspects=listed(validation, suspects),
        ).with_trials(validation.trials)


def cleaned(validation: CrossValidation, suspects: Suspects) -> tuple[Part, tuple[str, ...]]:
    """The selection without the suspects, and what to know of it."""
    workplace = validation.workplace
    arrays, classes = workplace.arrays, workplace.laboratory.data.classes
    train = arrays.indices("train")
    kept, spared = without_suspects(arrays.labels[train], suspects)
    notes = tuple(
        f"class {classes[label]!r} keeps all its images: the networks take more than half of them for others"
        for label in spared
    )
    return workplace.kept(train[kept]), notes
