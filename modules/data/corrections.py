"""Labels that a person corrects: a CSV of suspected images that a study leaves, and what came back of it.

A row names an image by its identity (16 hexadecimal digits) and its label as it was given, so that the file means the
same images in whatever order they are read. An empty `corrected` leaves the label as it is. Nobody's files are changed:
the labels are corrected as they are read.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from modules.data.parts import PARTS
from modules.digests import digest_of
from modules.errors import DataError
from modules.records import PartName, Record

COLUMNS = ("identity", "index", "file", "part", "given", "suggested", "confidence", "corrected")
_NEEDED = ("identity", "given", "corrected")
_IDENTITY_DIGITS = 16


class SuspectedLabel(Record):
    """An image whose label is suspected. `index` is its place in the arrays of the store."""

    identity: str = Field(pattern=r"^[0-9a-f]{16}$")
    index: int
    part: PartName
    given: str
    suggested: str
    confidence: float  # the probability of the suggested label
    file: str = ""  # that the image comes from, where it has one of its own


def identity_text(identity: np.uint64) -> str:
    """As the file has it."""
    return f"{int(identity):0{_IDENTITY_DIGITS}x}"


def corrections_text(suspects: Iterable[SuspectedLabel]) -> str:
    """The file for a person to fill in."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in suspects:
        writer.writerow(
            [one.identity, one.index, one.file, one.part, one.given, one.suggested, f"{one.confidence:.4f}", ""],
        )
    return text.getvalue()


def corrected_labels(
    labels: NDArray[np.int64],
    identities: NDArray[np.uint64],
    parts: NDArray[np.uint8],
    classes: tuple[str, ...],
    path: Path,
) -> NDArray[np.int64]:
    """The labels with those that the file corrects; DataError, with the line, for a row that cannot be meant."""
    wished: dict[tuple[str, str], tuple[str, int]] = {}
    corrected = labels.copy()
    by_identity = {identity_text(identity): identity for identity in identities}
    for line, row in _rows(path):
        where = f"data.corrections={path}, line {line}"
        identity, given, label = row["identity"].strip().lower(), row["given"], row["corrected"]
        if not label:
            continue
        if identity not in by_identity:
            raise DataError(
                f"{where}: no training image has the identity {identity or 'nothing'}; allowed are those of this data "
                "set as a study wrote them into its suspects file"
            )
        for name, column in ((given, "given"), (label, "corrected")):
            if name not in classes:
                raise DataError(f"{where}: {column} is {name!r}, which is no class; allowed: {', '.join(classes)}")
        earlier = wished.setdefault((identity, given), (label, line))
        if earlier[0] != label:
            raise DataError(
                f"{where}: {identity} is corrected to {label!r}, in line {earlier[1]} to {earlier[0]!r}; allowed is "
                "one label for an image"
            )
        meant = (identities == by_identity[identity]) & (labels == classes.index(given))
        if not meant.any():
            has = ", ".join(repr(classes[found]) for found in np.unique(labels[identities == by_identity[identity]]))
            raise DataError(
                f"{where}: {identity} is given as {given!r}, but its label is {has}; the file is of other labels, or "
                "they were corrected already"
            )
        if (parts[meant] == PARTS.index("test")).any():
            raise DataError(
                f"{where}: {identity} is a test image; allowed are images of train, steer and confirm: the test set "
                "stays as it was given"
            )
        corrected[meant] = classes.index(label)
    return corrected


def corrections_digest(path: Path) -> str:
    """Of what the file says."""
    return digest_of(_rows(path))


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"data.corrections={path} is no text in UTF-8; allowed is a CSV as a study writes it") from None
    except OSError as error:
        raise DataError(f"data.corrections={path} cannot be read: {error.strerror or error}") from None
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            found = ", ".join(reader.fieldnames or ()) or "nothing"
            raise DataError(
                f"data.corrections={path} has no column {missing[0]!r}; got {found[:80]}; needed are "
                f"{', '.join(_NEEDED)}"
            )
        return [(reader.line_num, _whole(path, reader.line_num, row)) for row in reader]
    except csv.Error as error:
        place = f"data.corrections={path}, after line {reader.line_num}"
        raise DataError(f"{place}: {error}; allowed is a sound CSV") from None


def _whole(path: Path, line: int, row: dict[str, str]) -> dict[str, str]:
    if None in row or None in row.values():
        raise DataError(
            f"data.corrections={path}, line {line} has not as many cells as the first line has columns; a label with a "
            "comma in it belongs in quotes"
        )
    return row
