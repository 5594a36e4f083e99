"""How strong transforms are, as their yamls say it: an argument with a `neutral` value is stronger further from it.

Imports no torch: an edit of the strength is proposed where there is none.
"""

from collections.abc import Sequence
from typing import Any

from modules.parts import argument_schema
from modules.records import Part

REVISION = 2  # 2: no strength is no transform; whole pixels are rounded


def strengthened(transforms: Sequence[Part], factor: float) -> tuple[Part, ...]:
    """Transforms whose strengths are `factor` times as far from doing nothing, within what their yamls allow.

    At 0 there are none: some have no strength, and others may not be as weak as to do nothing.
    """
    if factor == 0:
        return ()
    return tuple(transforms) if factor == 1 else tuple(_strengthened(part, factor) for part in transforms)


def _strengthened(part: Part, factor: float) -> Part:
    schema = argument_schema(part.target)
    by_whole_pixels = "subpixel" in schema and not part.arguments.get("subpixel", False)  # a fraction would be cut off
    changed = {
        name: _moved(value, schema[name], factor, by_whole_pixels)
        for name, value in part.arguments.items()
        if "neutral" in schema.get(name, {})
    }
    return part.updated(arguments={**part.arguments, **changed})


def _moved(value: float, entry: dict[str, Any], factor: float, whole: bool) -> float:
    moved = entry["neutral"] + factor * (value - entry["neutral"])
    moved = min(entry["max"], max(entry["min"], moved))
    if entry["type"] == "int":
        return round(moved)
    return float(round(moved)) if whole else float(f"{moved:.4g}")


def strength_between(first: Sequence[Part], transforms: Sequence[Part]) -> float | None:
    """The factor that leads from some transforms to others; None where none does."""
    factors = [1.0, 0.0, *(factor for pair in zip(first, transforms, strict=False) for factor in _factors(*pair))]
    return next((factor for factor in factors if strengthened(first, factor) == tuple(transforms)), None)


def _factors(before: Part, after: Part) -> list[float]:
    """By how much each strength has grown, to as many digits as a strength has."""
    schema, strengths = argument_schema(before.target), strengths_of(after)
    return [
        float(f"{(strengths[name] - neutral) / (value - neutral):.4g}")
        for name, value in strengths_of(before).items()
        if name in strengths and value != (neutral := schema[name]["neutral"])
    ]


def strengths_of(part: Part) -> dict[str, float]:
    """The arguments that say how strong a transform is."""
    schema = argument_schema(part.target)
    return {name: value for name, value in part.arguments.items() if "neutral" in schema.get(name, {})}
