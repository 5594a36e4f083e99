"""Shifting up, down and sideways."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from modules.augmentation.affine import Affine, Matrices, identity
from modules.augmentation.draws import Draws

REVISION = 1


class Shift(Affine):
    """Moves each image by up to `max_pixels` along each side: whole pixels, or fractions of them with `subpixel`."""

    def __init__(self, max_pixels: float = 2.0, subpixel: bool = False, padding: str = "zeros") -> None:
        super().__init__(padding)
        self.max_pixels = max_pixels
        self.subpixel = subpixel
        self.interpolates = subpixel

    def matrices(self, draws: Draws, height: int, width: int) -> Matrices:
        """One translation for each image."""
        matrices = identity(len(draws.identities))
        matrices[:, 0, 2] = self._offsets(draws, "x")
        matrices[:, 1, 2] = self._offsets(draws, "y")
        return matrices

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Shift each image (N x C x H x W)."""
        if self.subpixel:
            return super().__call__(images, draws)
        height, width = images.shape[2:]
        margin = int(self.max_pixels)
        padded = pad(images, [margin] * 4, mode="constant" if self.padding == "zeros" else "replicate")
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        top, left = (torch.from_numpy(self._offsets(draws, axis).astype(np.int64) + margin) for axis in "yx")
        return windows[torch.arange(len(images)), :, top, left]

    def _offsets(self, draws: Draws, axis: str) -> NDArray[np.float64]:
        """How far along an axis the place lies that comes to the place of each pixel."""
        if self.subpixel:
            return draws.either_way(axis, self.max_pixels)
        whole = int(self.max_pixels)
        return np.floor(draws.uniform(axis, -whole, whole + 1))
