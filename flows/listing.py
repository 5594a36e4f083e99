"""Studies as lines of a table, read from the summaries they left."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_COLUMNS = ("study", "state", "data", "val error", "test error", "params", "seconds", "when")
_LEFT = 3  # columns of words; the others are numbers


def study_names(home: Path) -> list[str]:
    """The studies under `home`, the oldest first."""
    folders = [folder for folder in (home / "studies").glob("*") if folder.is_dir() and folder.name[0] != "."]
    return [folder.name for folder in sorted(folders, key=lambda folder: (_when(folder), folder.name))]


def study_rows(home: Path, names: Sequence[str], failed: Mapping[str, int] | None = None) -> list[tuple[str, ...]]:
    """A row of texts a study; those in `failed` did not end as they should in this run."""
    return [_row(home / "studies" / name, name in (failed or {})) for name in names]


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows under their titles, in columns."""
    lines = [_COLUMNS, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if place < _LEFT else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _row(folder: Path, failed: bool) -> tuple[str, ...]:
    try:
        summary = json.loads((folder / "summary.json").read_text())
        champion = summary.get("champion") or {}
        return (
            folder.name,
            "failed" if failed else str(summary.get("state", "-")),
            str((summary.get("data") or {}).get("name", "-")),
            _percent(champion.get("val_error")),
            _percent(champion.get("test_error")),
            _number(champion.get("params"), ",d"),
            _number(summary.get("seconds"), ",.0f"),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(_when(folder))),
        )
    except FileNotFoundError:
        state = "failed" if failed else "unfinished"
    except (OSError, ValueError, AttributeError, TypeError):
        state = "unreadable"
    return (folder.name, state, *["-"] * (len(_COLUMNS) - 2))


def _when(folder: Path) -> float:
    summary = folder / "summary.json"
    return (summary if summary.exists() else folder).stat().st_mtime


def _percent(value: Any) -> str:
    return _number(value, ".2%").replace("%", " %")


def _number(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)
