"""Random numbers drawn from counters instead of from a stream.

A number depends on its coordinates (seed, purpose, image, epoch, …) and on nothing that was drawn before it, so an
edit, another batch size or a resumption changes no number it need not. The mixing function is the finaliser of
SplitMix64 (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195), applied once per coordinate.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

REVISION = 1

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_DOUBLE_STEP = float(2.0**-53)

Coordinate = int | str | NDArray[np.uint64]


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


def _as_words(coordinate: Coordinate) -> NDArray[np.uint64]:
    if isinstance(coordinate, str):
        coordinate = int.from_bytes(hashlib.sha256(coordinate.encode()).digest()[:8], "little")
    if isinstance(coordinate, int):
        return np.asarray(coordinate % 2**64, dtype=np.uint64)
    return coordinate.astype(np.uint64, copy=False)


def words(*coordinates: Coordinate) -> NDArray[np.uint64]:
    """64 random bits for each element of the broadcast coordinates (integers, names or uint64 arrays)."""
    state = np.asarray(0, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for coordinate in coordinates:
            state = _mix((state + _GAMMA) ^ _as_words(coordinate))
    return state


def uniform(*coordinates: Coordinate) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), shaped like the broadcast coordinates."""
    return (words(*coordinates) >> np.uint64(11)).astype(np.float64) * _DOUBLE_STEP


def normal(*coordinates: Coordinate) -> NDArray[np.float64]:
    """Standard normal numbers (Box and Muller 1958), shaped like the broadcast coordinates."""
    radius = np.sqrt(-2.0 * np.log1p(-uniform(*coordinates, "radius")))
    return radius * np.cos(2.0 * np.pi * uniform(*coordinates, "angle"))


def seed_for(*coordinates: int | str) -> int:
    """A seed in [0, 2**63) for a library that wants a stream of its own."""
    return int(words(*coordinates) >> np.uint64(1))
