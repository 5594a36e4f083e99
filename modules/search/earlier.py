"""The winner of an earlier study as the start of a new one."""

import json
from pathlib import Path

import numpy as np

from modules.architecture.description import Architecture
from modules.data.arrays import Arrays, open_arrays
from modules.data.parts import PARTS
from modules.errors import ConfigError, StudyError
from modules.recipe import Recipe
from modules.records import DataRecord, Ledger, Part, Record, TrialResult
from modules.search.climbing import start_of
from modules.store import Store
from modules.training.spec import Start


class EarlierWinner(Record):
    """A network and the state it goes on from."""

    study: str
    architecture: Architecture
    start: Start
    optimizer: Part | None = None  # whose moments are in the state; None: a study that began before this was kept
    frozen_statistics: bool = False  # as those of a network whose weights came from other images
    first_layer_rate: float = 1.0
    learning_rate: float | None = None  # this and the following: None in a study that began before they were kept
    label_smoothing: float | None = None
    weights_sha256: str | None = None
    batch_size: int | None = None
    frozen_until: str | None = None  # where it ended with a head, or with its upper blocks trained

    def taken_over(self, recipe: Recipe) -> Recipe:
        """A recipe with its network, and with what its weights cannot do without."""
        return recipe.updated(
            architecture=self.architecture,
            frozen_statistics=self.frozen_statistics,
            first_layer_rate=self.first_layer_rate,
        )

    def check_suits(self, data: DataRecord) -> None:
        """ConfigError where the data has other images or classes than the network was made for."""
        made_for = (self.architecture.image_shape, self.architecture.num_classes)
        came = (data.image_shape, len(data.classes))
        if made_for != came:
            raise ConfigError(
                f"search.start={self.study}: its winner takes images of {_shown(*made_for)}, the data has "
                f"{_shown(*came)}; allowed are studies on images and classes like these"
            )

    def check_unseen(self, data: DataRecord, home: Path) -> None:
        """ConfigError where the data judges by images that the winner was trained on, StudyError where nobody knows."""
        trained_on = _data_of(home, self.study)
        if trained_on.digest == data.digest:
            return
        theirs, ours = _arrays_of(home, trained_on, self.study), open_arrays(home, data)
        judging = ours.identities[ours.parts != PARTS.index("train")]
        seen = np.isin(judging, theirs.identities[theirs.indices("train")]).sum()
        if seen:
            raise ConfigError(
                f"search.start={self.study}: {seen:,} images of steer, confirm and test are ones that its winner was "
                "trained on, so that it would be judged by what it has seen; allowed are the data.split_seed and the "
                "fractions of that study, or data without these images"
            )


def _shown(shape: tuple[int, ...], num_classes: int) -> str:
    return f"{' x '.join(map(str, shape))} in {num_classes} classes"


def _data_of(home: Path, study: str) -> DataRecord:
    try:
        kept = json.loads((home / "studies" / study / "study_run.json").read_text())
        return DataRecord.model_validate(kept["data"])
    except (OSError, ValueError, KeyError, TypeError):
        raise _unknown(study) from None


def _arrays_of(home: Path, data: DataRecord, study: str) -> Arrays:
    try:
        return open_arrays(home, data)
    except OSError:
        raise _unknown(study) from None


def _unknown(study: str) -> StudyError:
    return StudyError(
        f"search.start={study}: which images its winner was trained on is no longer known, so that some of them may be "
        "in steer, confirm or test; run it again, or start from another study"
    )


def read_earlier_winner(home: Path, study: str) -> EarlierWinner:
    """What a finished study left; StudyError where there is none."""
    folder = home / "studies" / study
    if not (folder / "summary.json").exists() or not (folder / "ledger.json").exists():
        known = sorted(path.parent.name for path in home.glob("studies/*/summary.json"))
        raise StudyError(
            f"search.start={study}: there is no finished study of that name; allowed: {', '.join(known) or 'none yet'}"
        )
    kept = [row for row in Ledger.read(folder / "ledger.json").final if row.kept]
    entry = Store(home / "store").find("trials", kept[0].trials[0]) if kept else None
    if entry is None:
        raise StudyError(f"search.start={study}: it has not ended, or the store no longer has its winner; run it again")
    trial = TrialResult.model_validate_json(entry.file("result.json").read_text())
    recipe = Recipe.model_validate_json(entry.file("recipe.json").read_text())
    return EarlierWinner(
        study=study,
        architecture=recipe.architecture,
        start=start_of(trial),
        optimizer=recipe.optimizer,
        frozen_statistics=recipe.frozen_statistics,
        first_layer_rate=recipe.first_layer_rate,
        learning_rate=recipe.learning_rate,
        label_smoothing=recipe.label_smoothing,
        weights_sha256=trial.weights_sha256,
        batch_size=recipe.batch_size,
        frozen_until=recipe.frozen_until,
    )
