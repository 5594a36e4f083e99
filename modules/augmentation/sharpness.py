"""Sharper or softer images."""

import torch
from torch import Tensor

from modules.augmentation.blending import blended
from modules.augmentation.draws import Draws

REVISION = 1

_NEIGHBOURS = tuple((row, column) for row in range(3) for column in range(3))


class Sharpness:
    """Takes each image's distance from a softer one times a factor between 1 - `max_change` and 1 + `max_change`."""

    def __init__(self, max_change: float = 0.5) -> None:
        self.max_change = max_change

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Sharpen or soften each image (N x C x H x W)."""
        return blended(_softer(images), images, 1 + draws.either_way("sharpness", self.max_change))


def _softer(images: Tensor) -> Tensor:
    """Pixels as means of nine in which they count five times; those at the border stay."""
    height, width = images.shape[2:]
    if min(height, width) < 3:
        return images
    total = 4 * images[:, :, 1:-1, 1:-1]
    for row, column in _NEIGHBOURS:
        total = total + images[:, :, row : row + height - 2, column : column + width - 2]
    softer = torch.empty_like(images).copy_(images)
    softer[:, :, 1:-1, 1:-1] = total / 13
    return softer
