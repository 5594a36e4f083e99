"""Intervals of fractions."""

import math


def wilson_interval(fraction: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval (1927), of 95 % as it comes: what another sample of this size could have shown."""
    centre = (fraction + z * z / (2 * count)) / (1 + z * z / count)
    spread = fraction * (1 - fraction) / count + z * z / (4 * count**2)
    half = z * math.sqrt(spread) / (1 + z * z / count)
    return max(0.0, centre - half), min(1.0, centre + half)
