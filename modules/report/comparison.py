"""Studies side by side: what each ended with, where they differ, and whether chance could have made the difference.

The first study is the one that the others are compared with. Where both saw the same images and what each said of every
one of them is still stored, the difference is taken image by image; where only the fractions are known, the interval is
that of two independent ones, which is wider. With several studies the intervals are widened by Bonferroni, so that all
of them hold together at 95 %. They carry the images and not the noise between seeds: a study is one training.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from modules.energy.wording import watt_hours
from modules.evaluation.intervals import ALPHA, paired_interval, unpaired_interval, wilson_interval
from modules.records import DataRecord, Ledger, PartName
from modules.report.wording import NOTHING, duration, magnitude, number, outcome, percent, signed

_ERRORS: dict[PartName, str] = {"test": "test_error", "confirm": "val_error"}
_WHERE: dict[PartName, str] = {"test": "test", "confirm": "confirm, which the studies chose by"}


class SeenImages(NamedTuple):
    """N images of a part in an order of their own, by content and label, and whether each was misclassified."""

    identities: NDArray[np.uint64]
    labels: NDArray[np.int64]
    wrong: NDArray[np.bool_]

    def are_those_of(self, other: "SeenImages") -> bool:
        """Whether both are the same images in the same order."""
        return np.array_equal(self.identities, other.identities) and np.array_equal(self.labels, other.labels)


class ComparedStudy(NamedTuple):
    """What a study left behind, as far as it came; `seen` holds the parts whose outcomes are still stored."""

    name: str
    summary: Mapping[str, Any]
    settings: Mapping[str, Any]
    data: DataRecord | None
    ledger: Ledger | None
    seen: Mapping[PartName, SeenImages]

    @property
    def champion(self) -> Mapping[str, Any]:
        """The winner's figures; empty where there is none yet."""
        return self.summary.get("champion") or {}


def comparison(studies: Sequence[ComparedStudy]) -> RenderableType:
    """For the console: figures, differing keys, what was kept, and what can be told from chance."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=False)
    table.add_column("", style="dim")
    for study in studies:
        table.add_column(study.name, overflow="fold")
    _add_rows(table, figures(studies))
    _add_rows(table, differing_keys(studies), "configuration, where it differs")
    _add_rows(table, [("kept", tuple("\n".join(kept_edits(study)) for study in studies))], "ledger")
    return Group(table, Text(), *(Text(sentence) for sentence in differences(studies)))


def _add_rows(table: Table, rows: Sequence[tuple[str, tuple[str, ...]]], heading: str = "") -> None:
    if heading:
        table.add_row()
        table.add_row(Text(heading, style="bold"))
    for name, cells in rows:
        table.add_row(Text(name), *map(Text, cells))


def figures(studies: Sequence[ComparedStudy]) -> list[tuple[str, tuple[str, ...]]]:
    """A row a figure: its name and a cell a study."""
    columns = [_figures_of(study) for study in studies]
    return [(name, tuple(column[name] for column in columns)) for name in columns[0]]


def _figures_of(study: ComparedStudy) -> dict[str, str]:
    summary, champion = study.summary, study.champion
    energy, trials = summary.get("energy") or {}, summary.get("trials") or {}
    latency = champion.get("latency_ms")
    return {
        "state": str(summary.get("state", "unfinished")),
        "data": NOTHING if study.data is None else f"{study.data.name} {study.data.digest[:8]}",
        "test error": _error(study, "test"),
        "validation error": _error(study, "confirm"),
        "parameters": number(champion.get("params")),
        "FLOP an image": magnitude(champion.get("flops")),
        "latency": NOTHING if latency is None else f"{latency:.3f} ms",
        "energy": NOTHING if energy.get("wh") is None else watt_hours(energy["wh"], energy["measured"]),
        "time": duration(summary.get("seconds")),
        "trials": number(trials.get("count")),
    }


def _error(study: ComparedStudy, part: PartName) -> str:
    error, count = study.champion.get(_ERRORS[part]), _num_images(study, part)
    if error is None or not count:
        return percent(error)
    low, high = wilson_interval(error, count)
    return f"{percent(error)} ({100 * low:.2f} to {100 * high:.2f})"


def _num_images(study: ComparedStudy, part: PartName) -> int:
    return 0 if study.data is None else study.data.num_images.get(part, 0)


def differing_keys(studies: Sequence[ComparedStudy]) -> list[tuple[str, tuple[str, ...]]]:
    """The keys of the configuration whose values are not the same everywhere."""
    settings = [dict(_keys(study.settings)) for study in studies]
    names = list(dict.fromkeys(name for each in settings for name in each))
    rows = [(name, tuple(each.get(name, NOTHING) for each in settings)) for name in names]
    return [(name, cells) for name, cells in rows if len(set(cells)) > 1]


def _keys(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Texts by key: a part is its name, and its arguments are keys below it."""
    if _is_part(value):
        yield key, _name(value)
        yield from _keys(value["arguments"], f"{key}.")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _keys(inner, f"{key}{name}" if key.endswith(".") or not key else f"{key}.{name}")
    elif isinstance(value, Sequence) and value and all(map(_is_part, value)):
        yield key, ", ".join(map(_name, value))
        for inner in value:
            yield from _keys(inner["arguments"], f"{key}.{_name(inner)}.")
    else:
        yield key, "null" if value is None else str(value)


def _is_part(value: Any) -> bool:
    return isinstance(value, Mapping) and {"target", "arguments"} == set(value)


def _name(part: Mapping[str, Any]) -> str:
    return str(part["target"]).rpartition(".")[2]


def kept_edits(study: ComparedStudy) -> list[str]:
    """A line for each edit that was kept, then which final training was."""
    if study.ledger is None:
        return [NOTHING]
    rows = [row for generation in study.ledger.generations for row in generation.rows]
    lineage = study.ledger.lineage  # which over a front has edits that no generation kept
    edits = [row for row in rows if row.edit != "control" and (row.kept or row.is_step_of(lineage))]
    lines = [f"{row.generation}: {row.description} ({outcome(row)})" for row in edits]
    final = [row.edit for row in study.ledger.final if row.kept]
    return (lines or [f"none of {sum(row.edit != 'control' for row in rows)} edits"]) + final


def differences(studies: Sequence[ComparedStudy]) -> list[str]:
    """A sentence for each other study and part: how far it is from the first, and whether that may be chance."""
    first, *others = studies
    z = NormalDist().inv_cdf(1 - ALPHA / (2 * len(others)))
    sentences = [_difference(first, other, part, z) for other in others for part in _ERRORS]
    if len(others) > 1:
        sentences.append(f"The {len(others)} intervals of a part hold together at 95 % (Bonferroni).")
    return [*sentences, "The intervals are of the images; what another seed would have brought is not in them."]


def _difference(first: ComparedStudy, other: ComparedStudy, part: PartName, z: float) -> str:
    pair, where = f"{other.name} against {first.name} on {_WHERE[part]}", _ERRORS[part]
    before, after = first.champion.get(where), other.champion.get(where)
    if before is None or after is None:
        return f"{pair}: nothing to compare, since not both have ended."
    if part in first.seen and part in other.seen and first.seen[part].are_those_of(other.seen[part]):
        return f"{pair}: {_paired(first.seen[part].wrong, other.seen[part].wrong, first.name, other.name, z)}"
    if not _same_images(first, other, part):
        return f"{pair}: nothing to compare, since they have other images there."
    interval = unpaired_interval(before, after, _num_images(first, part), z)
    said = _said(after - before, interval)
    return f"{pair}: {said} As what each said image by image is not stored, this is the interval of two proportions."


def _paired(first: NDArray[np.bool_], other: NDArray[np.bool_], name: str, other_name: str, z: float) -> str:
    only_first, only_other = int((first & ~other).sum()), int((other & ~first).sum())
    interval = paired_interval(only_first, only_other, len(first), z)
    said = _said((only_other - only_first) / len(first), interval)
    return (
        f"{said} Wrong in {name} alone: {only_first:,} of {len(first):,} images; in {other_name} alone: {only_other:,}."
    )


def _same_images(first: ComparedStudy, other: ComparedStudy, part: PartName) -> bool:
    if first.data is None or other.data is None:
        return False
    if part == "test":
        return first.data.test_digest == other.data.test_digest
    return first.data.digest == other.data.digest


def _said(difference: float, interval: tuple[float, float]) -> str:
    low, high = interval
    points = [signed(100 * value, 2) for value in (difference, low, high)]
    told = "chance alone could have done this" if low <= 0 <= high else "more than chance"
    return f"{points[0]} percentage points ({points[1]} to {points[2]}): {told}."
