"""A transform drawn for each image: what one batch goes through, group by group."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from modules.augmentation.affine import Affine, identity, warp
from modules.augmentation.draws import Draws

REVISION = 1

Transform = Callable[[Tensor, Draws], Tensor]


def apply_drawn(transforms: Sequence[Transform | None], images: Tensor, draws: Draws, padding: str) -> Tensor:
    """Each image (N x C x H x W) through one of the transforms, all alike likely; None leaves it as it is.

    Images that are moved are sampled at once, whichever affine transforms they drew.
    """
    numbers = np.floor(draws.uniform("transform") * len(transforms)).astype(np.int64)
    result, matrices = images.clone(), identity(len(numbers))
    moved = np.zeros(len(numbers), dtype=bool)
    for number, transform in enumerate(transforms):
        chosen = np.flatnonzero(numbers == number)
        if transform is None or not len(chosen):
            continue
        scoped = draws.of(chosen).scoped(str(number))
        if isinstance(transform, Affine):
            matrices[chosen] = transform.matrices(scoped, *images.shape[2:])
            moved[chosen] = True
        else:
            result[chosen] = transform(images[chosen], scoped)
    return _warped(result, images, matrices, np.flatnonzero(moved), padding)


def _warped(
    result: Tensor, images: Tensor, matrices: NDArray[np.float64], moved: NDArray[np.int64], padding: str
) -> Tensor:
    if len(moved):
        result[moved] = warp(images[moved], matrices[moved], padding)
    return result
