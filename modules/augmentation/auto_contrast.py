"""Contrast as large as it can be."""

import torch
from torch import Tensor

from modules.augmentation.draws import Draws

REVISION = 1


class AutoContrast:
    """Stretches each channel of an image from black to white, with `probability`."""

    def __init__(self, probability: float = 0.5) -> None:
        self.probability = probability

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Stretch some of the images (N x C x H x W); a channel of one value stays."""
        low, high = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
        stretched = (images - low) / (high - low)
        chosen = torch.from_numpy(draws.uniform("stretch") < self.probability)[:, None, None, None]
        return torch.where(chosen & (high > low), stretched, images)
