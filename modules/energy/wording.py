"""How energy is written for people: three digits of what was measured; one of an estimate, good to a factor of two."""

import math
from typing import Any


def significant(value: float, digits: int) -> str:
    """0.0347 with 1 digit as `0.03`, 4183 as `4,000`."""
    if value == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, places):,.{max(0, places)}f}"


def watt_hours(wh: float, measured: bool = False) -> str:
    """0.0345 as `34.5 mWh`, or as `≈ 30 mWh`."""
    value, unit = (wh, "Wh") if wh >= 0.1 else (1000 * wh, "mWh")
    return f"{_figure(value, measured)} {unit}"


def millijoules(mj: float, measured: bool = False) -> str:
    """0.0812 as `0.0812 mJ`, or as `≈ 0.08 mJ`."""
    return f"{_figure(mj, measured)} mJ"


def emissions(energy: dict[str, Any]) -> str:
    """What the `energy` of a summary.json emitted."""
    grams = significant(energy["co2_g"], _digits(energy["measured"]))
    return f"{grams} g of CO2 by {energy['grid']} ({energy['grams_per_kwh']:g} g/kWh)"


def _figure(value: float, measured: bool) -> str:
    return f"{'' if measured else '≈ '}{significant(value, _digits(measured))}"


def _digits(measured: bool) -> int:
    return 3 if measured else 1
