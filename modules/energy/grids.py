"""What a kilowatt-hour of a country's grid emits; `grids.json` holds the figures and says where they are from."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from modules.records import Record

WORLD = "the world's average"


class Grid(Record):
    """Where electricity comes from: grams of CO2 equivalent for a kilowatt-hour."""

    name: str  # a country's three letters (ISO 3166-1), or the world's average
    grams_per_kwh: float

    def grams(self, wh: float) -> float:
        """What so many watt-hours emitted."""
        return wh * self.grams_per_kwh / 1000


def find_grid(country: str | None) -> Grid:
    """A country's grid, or the world's average; KeyError for a country that is not known."""
    if country is None:
        return Grid(name=WORLD, grams_per_kwh=_table()["world"])
    return Grid(name=country, grams_per_kwh=_table()["countries"][country])


def countries() -> tuple[str, ...]:
    """Those whose grid is known."""
    return tuple(_table()["countries"])


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(Path(__file__).with_name("grids.json").read_text())
    return table
