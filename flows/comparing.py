"""Reading what studies left behind, to lay it side by side."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modules.data.arrays import open_arrays
from modules.errors import StudyError
from modules.evaluation.openings import opening
from modules.evaluation.outputs import Outputs
from modules.records import DataRecord, Ledger, PartName
from modules.report.comparison import ComparedStudy, SeenImages
from modules.store import Store

_COMPARED: tuple[PartName, ...] = ("test", "confirm")


def read_studies(names: Sequence[str], home: Path) -> list[ComparedStudy]:
    """The studies as far as they came; StudyError where one cannot be read."""
    return [_read(home / "studies" / name, home) for name in names]


def _read(folder: Path, home: Path) -> ComparedStudy:
    summary, settings, ledger, run = (
        _json(folder / name) for name in ("summary.json", "settings.json", "ledger.json", "study_run.json")
    )
    try:
        data = DataRecord.model_validate(run["data"]) if run else None
        return ComparedStudy(
            folder.name,
            summary or {},
            settings or {},
            data,
            Ledger.model_validate(ledger) if ledger else None,
            _seen(summary or {}, data, home),
        )
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise StudyError(
            f"cannot read study {folder.name!r} in {folder}: {str(error).splitlines()[0]}; "
            f"allowed are studies that this version of espalier wrote"
        ) from error


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StudyError(f"cannot read {path}: {error}; allowed is what a study wrote") from error


def _seen(summary: dict[str, Any], data: DataRecord | None, home: Path) -> dict[PartName, SeenImages]:
    """What the winner said of each image, for the parts of which that is still stored."""
    champion = summary.get("champion")
    if data is None or not champion:
        return {}
    found = {part: _seen_part(champion["weights_sha256"], data, part, home) for part in _COMPARED}
    return {part: seen for part, seen in found.items() if seen is not None}


def _seen_part(weights_sha256: str, data: DataRecord, part: PartName, home: Path) -> SeenImages | None:
    entry = Store(home / "store").find(*opening(weights_sha256, data, part))
    if entry is None:
        return None
    outputs = Outputs.read(entry.file("outputs.safetensors"))
    try:
        arrays = open_arrays(home, data)
    except FileNotFoundError:  # the images were removed; the figures were not
        return None
    identities = arrays.identities[arrays.indices(part)]
    order = np.lexsort((outputs.labels, identities))
    return SeenImages(identities[order], outputs.labels[order], outputs.wrong[order])
