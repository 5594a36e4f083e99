"""Several transforms, one after the other."""

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from itertools import groupby
from typing import Literal

import numpy as np
from torch import Tensor

from modules.augmentation.affine import Affine, warp
from modules.augmentation.drawn import Transform, apply_drawn
from modules.augmentation.draws import Draws
from modules.parts import build
from modules.records import Part

REVISION = 1


class Policy:
    """Applies transforms in their order; affine ones next to each other sample the images once.

    Each transform draws under its class and how many of that class came before it, so that adding another kind changes
    no number it need not.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = tuple(transforms)
        seen: Counter[str] = Counter()
        scoped: list[tuple[str, Transform]] = []
        for transform in transforms:
            name = type(transform).__name__
            scoped.append((f"{name}{seen[name]}", transform))
            seen[name] += 1
        self._runs = [list(run) for _, run in groupby(scoped, key=lambda pair: _fuses_with(pair[1]))]

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Transform a batch (float, N x C x H x W, in [0, 1]); each image by its own draws."""
        for run in self._runs:
            images = _apply(run, images, draws)
        return images


class DrawnPolicy:
    """Applies one transform to each image, drawn anew each time, to every second image none."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = tuple(transforms)

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Transform a batch (float, N x C x H x W, in [0, 1]); each image by its own draws."""
        if not self.transforms:
            return images
        return apply_drawn([*[None] * len(self.transforms), *self.transforms], images, draws)


def build_policy(parts: Sequence[Part], mode: Literal["all", "one"] = "all") -> Policy | DrawnPolicy:
    """The policy of these transforms: all in their order, or one of them."""
    kind = Policy if mode == "all" else DrawnPolicy
    return kind([build(part) for part in parts])


def _fuses_with(transform: Transform) -> object:
    """Equal for neighbours that can be composed."""
    return ("affine", transform.padding) if isinstance(transform, Affine) else transform


def _apply(run: list[tuple[str, Transform]], images: Tensor, draws: Draws) -> Tensor:
    affine = [(scope, transform) for scope, transform in run if isinstance(transform, Affine)]
    if len(affine) > 1 and any(transform.interpolates for _, transform in affine):
        height, width = images.shape[2:]
        matrices = [transform.matrices(draws.scoped(scope), height, width) for scope, transform in affine]
        # What is done first to the image is asked last about a place in the result.
        return warp(images, reduce(np.matmul, matrices), affine[0][1].padding)
    for scope, transform in run:
        images = transform(images, draws.scoped(scope))
    return images
