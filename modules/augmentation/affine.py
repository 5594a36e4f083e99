"""Affine transforms of whole batches: composed as matrices, applied by sampling the images once.

A matrix takes a place in the result to the place in the image that is seen there. Places are (x, y) in pixels from the
centre of the image.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from modules.augmentation.draws import Draws

REVISION = 1

Matrices = NDArray[np.float64]  # N x 3 x 3

PADDINGS = ("zeros", "border")


class Affine(ABC):
    """A transform that moves pixels and leaves their values; neighbours in a policy are composed into one."""

    interpolates: bool = True  # whether a place in the result can fall between pixels of the image

    def __init__(self, padding: str = "zeros") -> None:
        if padding not in PADDINGS:
            raise ValueError(f"padding is {padding!r}; allowed are {', '.join(PADDINGS)}")
        self.padding = padding

    @abstractmethod
    def matrices(self, draws: Draws, height: int, width: int) -> Matrices:
        """One matrix for each image."""

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Transform each image (N x C x H x W)."""
        return warp(images, self.matrices(draws, *images.shape[2:]), self.padding)


def identity(num_images: int) -> Matrices:
    """Matrices that change nothing."""
    return np.tile(np.eye(3), (num_images, 1, 1))


def warp(images: Tensor, matrices: Matrices, padding: str) -> Tensor:
    """Sample each image (N x C x H x W) bilinearly where its matrix says; `padding` is what is seen outside."""
    height, width = images.shape[2:]
    # In the units of grid_sample: -1 and 1 are the outer edges of the image.
    x = (np.arange(width) - (width - 1) / 2)[None, None, :]
    y = (np.arange(height) - (height - 1) / 2)[None, :, None]
    rows = matrices[:, :2, :, None, None] * (2 / np.array([width, height]))[:, None, None, None]
    grid = torch.empty(len(images), height, width, 2)
    for axis in range(2):
        along_x = rows[:, axis, 0] * x + rows[:, axis, 2]
        along_y = rows[:, axis, 1] * y
        torch.add(_float32(along_x), _float32(along_y), out=grid[..., axis])
    warped = grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)
    return warped.contiguous(memory_format=layout(images))


def layout(images: Tensor) -> torch.memory_format:
    """The memory format to keep."""
    channels_last = images.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format


def _float32(array: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))
