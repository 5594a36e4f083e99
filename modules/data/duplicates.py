"""Images of one part that another part has too, exactly or nearly.

Nearly the same are images whose pixels, less their mean, correlate with at least 0.99: copies that were recompressed,
dimmed or blurred a little do, another digit in the same place does not. All pairs are compared by the means of their
7 x 7 cells first, and those that look alike there by all pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from modules.data.parts import cell_means, chunks

REVISION = 1

_LEAST_CORRELATION = 0.99
_ALIKE = 0.985  # of the cells, which a little noise may move further than the pixels
_AT_ONCE = 512  # images that are compared at once with those near them


class Rows:
    """Some of many images, which are read where they lie when they are asked for."""

    def __init__(self, images: NDArray[np.uint8], rows: NDArray[np.int64]) -> None:
        self._images = images
        self._rows = rows

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array's."""
        return (len(self._rows), *self._images.shape[1:])

    def __getitem__(self, which: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        return self._images[self._rows[which]]


Images = NDArray[np.uint8] | Rows
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Twin:
    """An image that is a copy of one in another part; both by their rows."""

    row: int
    other: int
    exact: bool


@threadpool_limits.wrap(limits=1, user_api="blas")  # products are small: a second thread waits for starting workers
def find_twins(
    images: Images, identities: NDArray[np.uint64], others: Images, other_identities: NDArray[np.uint64]
) -> list[Twin]:
    """For each of `images` that `others` have too, which one that is; in order."""
    equal = _first_equal(identities, other_identities)
    twins = [Twin(int(row), int(equal[row]), exact=True) for row in np.flatnonzero(equal >= 0)]
    best: dict[int, tuple[float, int]] = {}
    for ours, theirs in _alike(_directions_of_cells(images), _directions_of_cells(others), np.flatnonzero(equal < 0)):
        closeness = np.einsum("ij,ij->i", _directions(images[ours]), _directions(others[theirs]))
        for row, other, value in zip(ours.tolist(), theirs.tolist(), closeness.tolist(), strict=True):
            if value >= _LEAST_CORRELATION:
                best[row] = max(best.get(row, (0.0, other)), (value, other))
    twins += [Twin(row, other, exact=False) for row, (_, other) in best.items()]
    return sorted(twins, key=lambda twin: twin.row)


def _alike(cells: NDArray[np.float32], others: NDArray[np.float32], rows: NDArray[np.int64]) -> Iterator[Pairs]:
    """Rows and others whose directions are close, some at a time.

    Unit vectors with a product of c are sqrt(2 - 2c) apart, and so no further along any axis. Along the three that
    spread the others most, each piece of `rows` lies close together, and is compared with what is near it there.
    """
    axes = np.linalg.eigh(others.T @ others)[1][:, -3:]
    reach = np.float32(np.sqrt(2 - 2 * _ALIKE) + 1e-3)
    places, known = cells @ axes, others @ axes
    bins = np.floor(places[rows] / reach)
    rows = rows[np.lexsort((places[rows, 0], *bins.T[1:]))]
    for first in range(0, len(rows), _AT_ONCE):
        piece = rows[first : first + _AT_ONCE]
        low, high = places[piece].min(axis=0) - reach, places[piece].max(axis=0) + reach
        window = np.flatnonzero(((known >= low) & (known <= high)).all(axis=1))
        pairs = np.flatnonzero(cells[piece] @ others[window].T >= _ALIKE)  # of one axis: of two it is much slower
        for start in range(0, len(pairs), _AT_ONCE):
            ours, theirs = np.divmod(pairs[start : start + _AT_ONCE], len(window))
            yield piece[ours], window[theirs]


def _first_equal(values: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where each value is first among the others; -1 where it is not."""
    known, first = np.unique(others, return_index=True)
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[place] == values, first[place], -1)


def _directions_of_cells(images: Images) -> NDArray[np.float32]:
    return np.concatenate([_directions(cell_means(images[chunk])) for chunk in chunks(images.shape)])


def _directions(values: NDArray[np.uint8] | NDArray[np.float64]) -> NDArray[np.float32]:
    """Unit vectors of the values less their mean; zero for an image of one shade, which is like no other."""
    flat = values.reshape(len(values), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.divide(flat, length, out=np.zeros_like(flat), where=length > 1e-3)
