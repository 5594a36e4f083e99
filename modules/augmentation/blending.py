"""Changing pixels by going from a plain version of each image towards it, or past it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

REVISION = 1

_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


def blended(plain: Tensor, images: Tensor, factors: NDArray[np.float64]) -> Tensor:
    """0: the plain version, 1: the image (N x C x H x W), above: past it; within [0, 1]."""
    return torch.lerp(plain.expand_as(images), images, per_image(factors)).clamp_(0.0, 1.0)


def per_image(numbers: NDArray[np.float64]) -> Tensor:
    """N numbers as a tensor that multiplies N x C x H x W."""
    return torch.from_numpy(numbers.astype(np.float32))[:, None, None, None]


def grey(images: Tensor) -> Tensor:
    """The brightness (N x 1 x H x W) of images of any number of channels; other than three count alike."""
    if images.shape[1] == 3:
        return sum(share * images[:, channel : channel + 1] for channel, share in enumerate(_LUMA))  # type: ignore[return-value]
    return images.mean(dim=1, keepdim=True) if images.shape[1] > 1 else images
