"""What a selection that was found says on the console, and the files in which a person corrects labels."""

from pathlib import Path

import numpy as np

from flows.study import Study
from modules.data.arrays import open_arrays
from modules.data.corrections import corrections_text
from modules.evaluation.outputs import Outputs
from modules.report.contact_sheet import pictures_of, write_contact_sheet
from modules.report.view import SelectionView
from modules.report.wording import effect, percent
from modules.search.selecting.found import FoundSelection
from modules.store import write_text

_PICTURES = 24  # in the report


def keep_selection(study: Study, found: FoundSelection) -> None:
    """Say what was found; leave the suspects as a sheet of pictures and a file to correct.

    The file is never written twice: a person may have filled it in. Its name holds the digest of the data, so that
    corrected data have another one.
    """
    study.folder.write("selection.json", found.model_dump(mode="json"))
    for row in found.compared:
        against = "" if row.effect is None else f", {effect(row.effect)} against all"
        study.progress.say(
            f"  {row.name}: {row.num_images:,} images, steer error {percent(row.error)}, without suspected labels "
            f"{percent(row.trusted_error)}{against}: {row.verdict}",
            "green" if row.kept else "",
        )
    for sentence in found.sentences:
        study.progress.say(sentence, "bold")
    if found.confirmed is not None:
        study.progress.say(
            f"on confirm, against all images: {effect(found.confirmed)} without its suspected labels, "
            f"{effect(found.confirmed_on_all)} with them"
        )
    if found.suspects:
        counts = ", ".join(
            f"{count:,} of {study.laboratory.data.num_images[part]:,} {part}"
            for part, count in found.num_suspects.items()
        )
        sheet, corrections = _write_suspects(study, found)
        study.progress.say(f"suspected labels: {counts}; pictures in {sheet}")
        study.progress.say(f"to correct them: fill in {corrections} and run again with data.corrections=FILE")


def _paths(study: Study) -> tuple[Path, Path]:
    stem = f"suspects-{study.laboratory.data.digest[:8]}"
    return study.folder.path / f"{stem}.html", study.folder.path / f"{stem}.csv"


def _write_suspects(study: Study, found: FoundSelection) -> tuple[Path, Path]:
    sheet, corrections = _paths(study)
    images = open_arrays(study.home, study.laboratory.data).images
    write_contact_sheet(sheet, study.name, corrections.name, images, found.suspects)
    if not corrections.exists():
        write_text(corrections, corrections_text(found.suspects))
    return sheet, corrections


def selection_view(study: Study, confirm: Outputs) -> SelectionView | None:
    """The report's section; `confirm` is what the winner said of it."""
    found = study.found
    if found is None:
        return None
    arrays = open_arrays(study.home, study.laboratory.data)
    suspected = np.isin(arrays.indices("confirm"), [one.index for one in found.suspects if one.part == "confirm"])
    looked_for = bool(found.num_suspects)
    sheet, corrections = _paths(study)
    return SelectionView(
        sentences=found.sentences,
        compared=found.compared,
        confirmed=found.confirmed,
        confirmed_on_all=found.confirmed_on_all,
        num_suspects=found.num_suspects,
        pictures=pictures_of(arrays.images, [one for one in found.suspects if one.part == "train"][:_PICTURES]),
        sheet=sheet.name if found.suspects else None,
        corrections=corrections.name if found.suspects else None,
        confirm_error=confirm.error if looked_for else None,
        trusted_confirm_error=float(confirm.wrong[~suspected].mean()) if looked_for and not suspected.all() else None,
        num_trials=found.num_trials,
        samples=found.samples,
        seconds=found.seconds,
        digest=found.selection.arguments.get("digest"),
    )
