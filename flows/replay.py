"""`espalier replay`: rebuilds a study's winner from its ledger alone, in a store of its own, and compares the bits."""

import shutil
import tempfile
from pathlib import Path

from pydantic import ValidationError

from flows.opening import open_workers
from flows.progress import Progress
from flows.study import StudyFolder
from flows.translation import configured_data, configured_laboratory
from modules.config import Settings
from modules.errors import StudyError
from modules.recipe import Recipe
from modules.records import Ledger, Step, TrialResult
from modules.search.climbing import start_of
from modules.search.laboratory import Inherited, Laboratory
from modules.selection.kept import KIND as SELECTIONS
from modules.store import Store
from modules.training.spec import Slice, Start


def replay_study(study: str, home: Path, progress: Progress) -> TrialResult:
    """Take every step of the ledger's lineage again; StudyError where one comes out otherwise."""
    folder = StudyFolder(home, study)
    summary = folder.read("summary.json")
    if summary is None or summary["state"] != "completed":
        raise StudyError(f"study {study!r} has not ended yet, so there is no winner to rebuild; run it first")
    ledger, settings = Ledger.read(folder.path / "ledger.json"), kept_settings(folder)
    with tempfile.TemporaryDirectory(prefix="espalier-replay-") as scratch, open_workers(settings, home) as pool:
        data = configured_data(settings, Store(Path(scratch) / "store"))
        if data.digest != summary["data"]["digest"]:
            raise StudyError(
                f"the data of study {study!r} has changed since (digest {data.digest}, then "
                f"{summary['data']['digest']}); allowed is a replay on the same images"
            )
        laboratory = configured_laboratory(settings, Path(scratch), pool, data)
        result, recipe = None, None
        for number, step in enumerate(ledger.lineage, start=1):
            result, recipe = _take(step, number, recipe, result, laboratory, home, progress)
        assert result is not None, "a sealed ledger of a finished study has a lineage"
    expected = summary["champion"]["weights_sha256"]
    if result.weights_sha256 != expected:
        raise StudyError(
            f"the replay of study {study!r} ended with weights {result.weights_sha256[:16]}, its summary says "
            f"{expected[:16]}: summary.json was changed, or belongs to another ledger"
        )
    return result


def kept_settings(folder: StudyFolder) -> Settings:
    """What the study was begun with; StudyError where its settings are those of another version."""
    content = folder.read("settings.json")
    assert content is not None, "every study that began has written down its settings"
    try:
        return Settings.from_content(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(step) for step in first["loc"])
        raise StudyError(
            f"cannot read the settings of study {folder.name!r} in {folder.path} ({key}: {first['msg'].lower()}); "
            "allowed are studies that this version of espalier wrote"
        ) from error


def _take(
    step: Step,
    number: int,
    recipe: Recipe | None,
    parent: TrialResult | None,
    laboratory: Laboratory,
    home: Path,
    progress: Progress,
) -> tuple[TrialResult, Recipe]:
    start: Start | None = None
    if step.recipe is not None:
        recipe = Recipe.model_validate(step.recipe)
        start = Start.model_validate(step.start) if step.start else None
        _bring_what_it_names(recipe, start, home, laboratory.store)
    else:
        assert recipe is not None
        assert parent is not None, "only a first step has no parent"
        start = start_of(parent)
        if step.edit is not None:
            inherited = laboratory.inherit(step.edit, recipe, parent, step.seed)
            if not isinstance(inherited, Inherited):
                raise StudyError(f"step {number}, {step.edit.name}, was refused here: {inherited.reason}")
            recipe, start = inherited.recipe, inherited.start
            if step.trial == parent.key:
                return parent, recipe
    recipe = recipe.updated(schedule=step.schedule)
    spec = laboratory.spec(recipe, Slice.model_validate(step.slice), step.seed, start).in_pieces_of(step.trial)
    label = f"step {number}" + (f", {step.edit.name}" if step.edit else "")
    _check_key(label, spec.key, step)
    with progress.trial(label) as report:
        result = laboratory.train(spec, report)
    _check_key(label, result.key, step)  # another one where memory ran out here
    progress.say(f"{label}: trial {result.key[:16]}, as in the ledger ({result.seconds:.1f} s)")
    return result, recipe


def _check_key(label: str, key: str, step: Step) -> None:
    if key != step.trial:
        raise StudyError(
            f"{label} leads to trial {key[:16]} here, the ledger says {step.trial[:16]}: this machine, its torch or "
            "this version of the program computes otherwise than those of the study"
        )


def _bring_what_it_names(recipe: Recipe, start: Start | None, home: Path, scratch: Store) -> None:
    """What a first step rests on: the state it begins with, images that were found, the network it learns from."""
    if (digest := recipe.selection.arguments.get("digest")) is not None:
        _bring(SELECTIONS, digest, "trained on", home, scratch)
    if start is not None:
        _bring(start.kind, start.key, "began with", home, scratch)
    if recipe.distillation is not None:
        _bring("trials", recipe.distillation.teacher, "learnt from", home, scratch)


def _bring(kind: str, key: str, what_for: str, home: Path, scratch: Store) -> None:
    """An entry of the home's store, if the replay has not made it or brought it before."""
    if scratch.find(kind, key) is not None:
        return
    source = Store(home / "store").find(kind, key)
    if source is None:
        raise StudyError(f"the study {what_for} {kind}/{key[:16]}, which the store no longer has")
    shutil.copytree(source.folder, scratch.folder(kind, key))
