"""Bright pixels inverted."""

import torch
from torch import Tensor

from modules.augmentation.blending import per_image
from modules.augmentation.draws import Draws

REVISION = 1


class Solarize:
    """Inverts the values of each image above a threshold of at least `min_threshold`; values are between 0 and 1."""

    def __init__(self, min_threshold: float = 0.5) -> None:
        self.min_threshold = min_threshold

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Invert what is bright in each image (N x C x H x W)."""
        threshold = per_image(1 - draws.up_to("threshold", 1 - self.min_threshold))
        return torch.where(images > threshold, 1 - images, images)
