"""Blurring by a Gaussian."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from modules.augmentation.affine import layout
from modules.augmentation.blending import per_image
from modules.augmentation.draws import Draws

REVISION = 1

_REACH = 3.0  # standard deviations, where the kernel ends


class Blur:
    """Blurs each image by a Gaussian of up to `max_sigma` pixels; its border is continued."""

    def __init__(self, max_sigma: float = 1.0) -> None:
        self.max_sigma = max_sigma

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Blur each image (N x C x H x W), along its columns and then along its rows."""
        radius = math.ceil(_REACH * self.max_sigma)
        if radius == 0:
            return images
        weights = _kernels(draws.up_to("sigma", self.max_sigma), radius)
        for side in (2, 3):
            images = _averaged(images, weights, radius, side)
        return images


def _kernels(sigmas: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """For each image the weights (N x 2 radius + 1) of the pixels around one."""
    distances = np.arange(-radius, radius + 1) / np.maximum(sigmas, 1e-3)[:, None]
    weights = np.exp(-0.5 * distances**2)
    normed: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return normed


def _averaged(images: Tensor, weights: NDArray[np.float64], radius: int, side: int) -> Tensor:
    """The weighted sum of the images moved along a side; term by term, so that no batch changes a bit."""
    length = images.shape[side]
    margins = [radius, radius, 0, 0] if side == 3 else [0, 0, radius, radius]
    padded = pad(images, margins, mode="replicate")
    result = torch.zeros_like(images, memory_format=layout(images))
    for place in range(2 * radius + 1):
        result.addcmul_(padded.narrow(side, place, length), per_image(weights[:, place]))
    return result
