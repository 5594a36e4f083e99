"""What a study says of its energy, with no more digits than the way it was found deserves."""

import math
from typing import Any

from modules.energy.grids import Grid
from modules.energy.meter import Energy

_DIGITS = {True: 3, False: 2}  # measured, estimated

UNKNOWN: dict[str, Any] = {
    "wh": None,
    "method": None,
    "measured": None,
    "co2_g": None,
    "grid": None,
    "grams_per_kwh": None,
    "inference_mj": None,
}


def energy_summary(used: Energy | None, grid: Grid, latency_ms: float | None = None) -> dict[str, Any]:
    """`energy` of summary.json: watt-hours and grams of CO2, and millijoules that one image costs the winner.

    An image costs what one busy processor draws for as long as it takes. Null is what is not known.
    """
    if used is None:
        return dict(UNKNOWN)
    digits, watts = _DIGITS[used.measured], used.watts
    inference = None if latency_ms is None or watts is None else rounded(latency_ms * watts, digits)
    return {
        "wh": rounded(used.wh, digits),
        "method": used.method,
        "measured": used.measured,
        "co2_g": rounded(grid.grams(used.wh), digits),
        "grid": grid.name,
        "grams_per_kwh": grid.grams_per_kwh,
        "inference_mj": inference,
    }


def rounded(value: float, digits: int) -> float:
    """To so many significant digits."""
    return 0.0 if value == 0 else round(value, digits - 1 - math.floor(math.log10(abs(value))))
