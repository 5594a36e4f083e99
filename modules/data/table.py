"""A CSV that lists image files: path, label and perhaps part."""

import csv
import io
import os
from pathlib import Path

from modules.data.files import GIVEN, PART_NAMES, FileSet, ImageFile, shown
from modules.errors import DataError

_COLUMNS = {
    "path": ("path", "file", "filename", "image"),
    "label": ("label", "class"),
    "part": ("part", "split", "set"),
}
_PREFERRED = "labels.csv"


def find_table(root: Path) -> Path | None:
    """The CSV in a folder; None where there is none, DataError where it is not clear which."""
    tables = sorted(path for path in root.glob("*.[cC][sS][vV]") if path.is_file())
    if len(tables) > 1:
        named = [path for path in tables if path.name.lower() == _PREFERRED]
        if not named:
            listed = ", ".join(shown(path.name) for path in tables)
            raise DataError(f"{shown(root)} holds several CSVs ({listed}); say which with data.root=FILE")
        return named[0]
    return tables[0] if tables else None


def read_table(path: Path, image_size: int | None = None, channels: int | None = None) -> FileSet:
    """The images that a CSV lists; paths are relative to its folder."""
    rows = _rows(path)
    classes = tuple(sorted({label for _, label, _ in rows}))
    order = {label: index for index, label in enumerate(classes)}
    files: list[ImageFile] = []
    passed_over: list[tuple[str, str]] = []
    for name, label, given in sorted(rows, key=lambda row: (GIVEN.index(row[2]), row[0])):
        file = path.parent / name
        try:
            facts = file.stat()
        except (OSError, ValueError) as error:
            passed_over.append((shown(name), getattr(error, "strerror", None) or str(error)))
            continue
        if not file.is_file():
            passed_over.append((shown(name), "not a file"))
            continue
        files.append(
            ImageFile(shown(name), order[label], given, os.path.abspath(file), facts.st_size, facts.st_ctime_ns)
        )
    if not files:
        raise DataError(f"{shown(path)} lists no file that is there; its paths are taken from its own folder")
    return FileSet(tuple(files), classes, image_size, channels, tuple(passed_over))


def _rows(path: Path) -> list[tuple[str, str, str]]:
    """Path, label and given part of each row."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(path)} is not UTF-8 text ({error.reason}); save it as a UTF-8 CSV") from error
    except OSError as error:
        raise DataError(f"{shown(path)} cannot be read: {error.strerror or error}") from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        columns = _columns(path, next(reader, []))
        return [_row(path, reader.line_num, cells, columns) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise DataError(f"{shown(path)}, line {reader.line_num}: {error}; allowed is a CSV") from error


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    titles = [title.strip().lower() for title in header]
    found = {
        column: next(titles.index(name) for name in names if name in titles)
        for column, names in _COLUMNS.items()
        if any(name in titles for name in names)
    }
    if missing := [column for column in ("path", "label") if column not in found]:
        came = ", ".join(shown(title) for title in header) or "nothing"
        raise DataError(
            f"{shown(path)} has no column {missing[0]} (its first line: {came}); it must begin with a line such as "
            "path,label or path,label,part"
        )
    return found


def _row(path: Path, line: int, cells: list[str], columns: dict[str, int]) -> tuple[str, str, str]:
    values = {column: cells[place].strip() if place < len(cells) else "" for column, place in columns.items()}
    if not values["path"] or not values["label"]:
        missing = "path" if not values["path"] else "label"
        raise DataError(f"{shown(path)}, line {line}: the {missing} is empty; each image needs a path and a label")
    part = values.get("part", "").lower() or "train"
    if part not in PART_NAMES:
        raise DataError(f"{shown(path)}, line {line}: unknown part {part!r}; allowed: train, validation, test")
    return values["path"], values["label"], PART_NAMES[part]
