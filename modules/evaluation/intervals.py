"""Intervals of fractions and of their differences, by formulas that hold for few events too."""

import math

ALPHA = 0.05  # how often what is said may be wrong: intervals are of 95 %, and a claim has a p-value below it


def wilson_interval(fraction: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval (1927), of 95 % as it comes: what another sample of this size could have shown."""
    centre = (fraction + z * z / (2 * count)) / (1 + z * z / count)
    spread = fraction * (1 - fraction) / count + z * z / (4 * count**2)
    half = z * math.sqrt(spread) / (1 + z * z / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_interval(only_first: int, only_second: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Of the second fraction minus the first, both of the same `count` images (Agresti and Min 2005).

    `only_first` and `only_second` count the images that are in one of the fractions and not in the other; half an image
    is added to each of the four cells, so that none in which they differ does not mean certainty.
    """
    difference = (only_second - only_first) / (count + 2)
    spread = (only_first + only_second + 1) / (count + 2) - difference**2
    half = z * math.sqrt(spread / (count + 2))
    return max(-1.0, difference - half), min(1.0, difference + half)


def unpaired_interval(first: float, second: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Of `second` minus `first`, as if each were of `count` images of its own (Newcombe 1998, method 10)."""
    first_low, first_high = wilson_interval(first, count, z)
    second_low, second_high = wilson_interval(second, count, z)
    difference = second - first
    low = difference - math.hypot(second - second_low, first_high - first)
    return low, difference + math.hypot(second_high - second, first - first_low)
