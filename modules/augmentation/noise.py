"""Noise in each pixel."""

import torch
from torch import Tensor

from modules.augmentation.affine import layout
from modules.augmentation.blending import per_image
from modules.augmentation.draws import Draws

REVISION = 1


class Noise:
    """Adds Gaussian noise to each value, of a standard deviation of up to `max_std`; values are between 0 and 1."""

    def __init__(self, max_std: float = 0.1) -> None:
        self.max_std = max_std

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Add noise to each image (N x C x H x W)."""
        channels, height, width = images.shape[1:]
        noise = torch.from_numpy(draws.normal("noise", height * width * channels))
        noise = noise.reshape(-1, height, width, channels).permute(0, 3, 1, 2).contiguous(memory_format=layout(images))
        return noise.mul_(per_image(draws.up_to("std", self.max_std))).add_(images).clamp_(0.0, 1.0)
