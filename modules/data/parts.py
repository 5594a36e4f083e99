"""Which part an image belongs to follows from its content alone.

Images that look alike share a key, and the part is drawn from (split seed, key): a new seed of the study, another
order or a folder that has grown moves no image, and a near-duplicate is never judged on what its twin was trained on.
"""

import hashlib
import math
from collections.abc import Iterator
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from modules.randomness import uniform, words
from modules.records import PartName

REVISION = 1

PARTS: tuple[PartName, ...] = get_args(PartName)  # their codes in parts.npy are their places here

_CELLS = 7  # cells along each side in which an image is looked at for its group
_EDGE = 0.12  # of the brightest cell, by which one of two neighbours must be brighter to count
_CHUNK_PIXELS = 1 << 21  # looked at together, for the sake of memory


def content_hashes(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """64 bits of each image's content and shape: its identity."""
    shape = repr(images.shape[1:]).encode()
    hashes = (
        hashlib.blake2b(image.tobytes(), digest_size=8, person=shape[:16]).digest()
        for chunk in chunks(images.shape)
        for image in images[chunk]
    )
    return np.frombuffer(b"".join(hashes), dtype="<u8").astype(np.uint64)


def group_keys(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """A coarse difference hash: near-duplicates (recompressed, slightly noisy, dimmed) mostly share it.

    The image is averaged over channels and over 7 x 7 cells; each bit says whether a cell is clearly brighter than the
    one to its left, or the one above. It depends on no other image: that keeps parts fixed, and makes it approximate.
    """
    keys = np.empty(len(images), dtype=np.uint64)
    for chunk in chunks(images.shape):
        keys[chunk] = _group_keys(images[chunk])
    return keys


def chunks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of the images that are small enough to be widened to larger numbers."""
    size = max(1, _CHUNK_PIXELS // math.prod(shape[1:]))
    return (slice(start, start + size) for start in range(0, shape[0], size))


def _group_keys(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    cells = cell_means(images)
    edge = _EDGE * cells.max(axis=(1, 2), keepdims=True) + 1.0  # at least a grey level, so that flat areas are flat
    steps = [np.diff(cells, axis=axis) > edge for axis in (2, 1)]
    bits = np.packbits(np.concatenate([step.reshape(len(images), -1) for step in steps], axis=1), axis=1)
    padded = np.zeros((len(images), 16), dtype=np.uint8)
    padded[:, : bits.shape[1]] = bits
    low, high = padded.view("<u8").T
    return words("group", low, high)


def cell_means(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean grey of each image's 7 x 7 cells, or of its pixels along sides that are shorter."""
    _, height, width, channels = images.shape
    planes = images.sum(axis=3, dtype=np.uint32)
    rows, columns = _cell_starts(height), _cell_starts(width)
    sums = np.add.reduceat(np.add.reduceat(planes, rows, axis=1), columns, axis=2)
    sizes = np.diff(np.append(rows, height))[:, None] * np.diff(np.append(columns, width))
    means: NDArray[np.float64] = sums / sizes / channels
    return means


def _cell_starts(side: int) -> NDArray[np.int64]:
    num_cells = min(_CELLS, side)
    return np.arange(num_cells) * side // num_cells


def assign_parts(
    groups: NDArray[np.uint64], *, steer_fraction: float, confirm_fraction: float, test_fraction: float, split_seed: int
) -> NDArray[np.uint8]:
    """The part of each image, as its code, from its group and the split seed."""
    place = uniform("part", split_seed, groups)
    ends = np.cumsum([test_fraction, confirm_fraction, steer_fraction])
    codes = [PARTS.index(name) for name in ("test", "confirm", "steer", "train")]
    return np.asarray(codes, dtype=np.uint8)[np.searchsorted(ends, place, side="right")]
