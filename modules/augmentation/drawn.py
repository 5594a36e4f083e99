"""A transform drawn for each image: what one batch goes through, group by group."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from modules.augmentation.affine import PADDINGS, Affine, identity, warp
from modules.augmentation.draws import Draws

REVISION = 1

Transform = Callable[[Tensor, Draws], Tensor]


def apply_drawn(transforms: Sequence[Transform | None], images: Tensor, draws: Draws) -> Tensor:
    """Each image (N x C x H x W) through one of the transforms, all alike likely; None leaves it as it is.

    Images that are moved are sampled at once, whichever affine transforms they drew.
    """
    numbers = np.floor(draws.uniform("transform") * len(transforms)).astype(np.int64)
    result, matrices = images.clone(), identity(len(numbers))
    paddings = np.full(len(numbers), -1)  # of those that are moved, by their place in PADDINGS
    for number, transform in enumerate(transforms):
        chosen = np.flatnonzero(numbers == number)
        if transform is None or not len(chosen):
            continue
        scoped = draws.of(chosen).scoped(str(number))
        if isinstance(transform, Affine):
            matrices[chosen] = transform.matrices(scoped, *images.shape[2:])
            paddings[chosen] = PADDINGS.index(transform.padding)
        else:
            result[chosen] = transform(images[chosen], scoped)
    for place, padding in enumerate(PADDINGS):
        moved = np.flatnonzero(paddings == place)
        if len(moved):
            result[moved] = warp(images[moved], matrices[moved], padding)
    return result
