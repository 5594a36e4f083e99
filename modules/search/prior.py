"""What earlier studies on this machine taught: a snapshot taken when a study starts, without the study itself.

It decides nothing. Edits that were kept elsewhere are likelier to be tried, and what others ended with is tried first
by a search for hyper-parameters and joins a race of optimisers.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from modules.recipe import Recipe
from modules.records import DataRecord, Ledger, Part, Record
from modules.search.edit_odds import Earlier

_LIKE = 4.0  # times as many training images, or as few, is data of like size
_MOST_WINNERS = 3  # that a study tries first


class Lesson(Record):
    """What one finished study says: on which data, how often each edit was kept, and with which recipe it ended."""

    study: str
    data: str  # digest
    num_train: int
    channels: int
    val_error: float
    edits: dict[str, Earlier]
    optimizer: Part
    learning_rate: float
    recipe: dict[str, Any]  # of the winner, without its architecture
    began_pretrained: bool = False  # so that its rates are those of fine-tuning

    @property
    def name(self) -> str:
        """Of its optimiser, as of this study."""
        return f"{self.optimizer.name} of {self.study}"

    def is_like(self, data: DataRecord) -> bool:
        """Whether its data was of like size and kind, so that its rates may fit."""
        ratio = self.num_train / data.num_images["train"]
        return self.channels == data.image_shape[0] and 1 / _LIKE <= ratio <= _LIKE


class Prior(Record):
    """The lessons of all finished studies, by name."""

    lessons: tuple[Lesson, ...] = ()

    def earlier(self, edit: str) -> Earlier:
        """How often an edit was tried and kept, over all studies."""
        found = [lesson.edits[edit] for lesson in self.lessons if edit in lesson.edits]
        return Earlier(tried=sum(each.tried for each in found), kept=sum(each.kept for each in found))

    def winners(self, data: DataRecord) -> tuple[Lesson, ...]:
        """The lessons of like data to try first: those on the same data first, then those of the nearest size.

        They are tried by networks from new weights, so that what was fine-tuned says nothing of their rates.
        """
        num_train = data.num_images["train"]
        like = [lesson for lesson in self.lessons if lesson.is_like(data) and not lesson.began_pretrained]
        like.sort(key=lambda lesson: (lesson.data != data.digest, abs(lesson.num_train - num_train), lesson.val_error))
        different: dict[tuple[str, float], Lesson] = {}
        for lesson in like:
            different.setdefault((lesson.optimizer.content_digest, lesson.learning_rate), lesson)
        return tuple(different.values())[:_MOST_WINNERS]


def value_of(recipe: Mapping[str, Any], key: str) -> Any:
    """What a recipe, as JSON, says about a key of the configuration; None where it says nothing."""
    group, _, name = key.partition(".")
    if group == "training":
        return recipe.get(name)
    part = recipe.get(group)
    return part["arguments"].get(name) if name and isinstance(part, dict) else None


def take_prior(home: Path, without: Collection[str]) -> Prior:
    """From what the studies under `home` left but some, without those that did not end or that cannot be read."""
    lessons = (
        _lesson(path.parent) for path in sorted(home.glob("studies/*/summary.json")) if path.parent.name not in without
    )
    return Prior(lessons=tuple(lesson for lesson in lessons if lesson is not None))


def _lesson(folder: Path) -> Lesson | None:
    try:
        summary = json.loads((folder / "summary.json").read_text())
        if summary["state"] != "completed":
            return None
        ledger = Ledger.model_validate_json((folder / "ledger.json").read_text())
        view = json.loads((folder / "view.json").read_text())
        recipe = json.loads((folder / "champion" / "recipe.json").read_text())
        data = DataRecord.model_validate(view["data"])
        ended = Recipe.model_validate(recipe)
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
    return Lesson(
        study=folder.name,
        data=data.digest,
        num_train=data.num_images["train"],
        channels=data.image_shape[0],
        val_error=summary["champion"]["val_error"],
        edits=_edits(ledger),
        optimizer=ended.optimizer,
        learning_rate=ended.learning_rate,
        recipe=ended.model_dump(mode="json", exclude={"architecture", "selection"}),
        began_pretrained=ended.began_pretrained,
    )


def _edits(ledger: Ledger) -> dict[str, Earlier]:
    rows = [row for generation in ledger.generations if not generation.contest for row in generation.rows]
    tried = [row for row in rows if row.edit != "control" and row.steer_effect is not None]
    return {name: _counted(row.kept for row in tried if row.edit == name) for name in sorted({r.edit for r in tried})}


def _counted(kept: Iterable[bool]) -> Earlier:
    all_of_them = list(kept)
    return Earlier(tried=len(all_of_them), kept=sum(all_of_them))
