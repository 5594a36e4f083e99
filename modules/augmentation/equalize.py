"""All shades alike often."""

import numpy as np
import torch
from torch import Tensor

from modules.augmentation.draws import Draws

REVISION = 1

_SHADES = 256


class Equalize:
    """Spreads the values of each channel such that all shades are about as frequent, with `probability`."""

    def __init__(self, probability: float = 0.5) -> None:
        self.probability = probability

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Equalise the histograms of some of the images (N x C x H x W)."""
        chosen = np.flatnonzero(draws.uniform("equalize") < self.probability)
        result = images.clone()
        if len(chosen):
            result[chosen] = _equalized(images[chosen])
        return result


def _equalized(images: Tensor) -> Tensor:
    """Each value becomes the share of darker pixels, counted from the darkest shade there is: as Pillow does it."""
    num, channels, height, width = images.shape
    shades = (images * 255).round_().long().flatten(2).flatten(0, 1)
    counts = torch.zeros(num * channels, _SHADES, dtype=torch.long)
    counts.scatter_add_(1, shades, torch.ones_like(shades))
    brightest = shades.amax(dim=1, keepdim=True)
    step = (height * width - counts.gather(1, brightest)) // (_SHADES - 1)  # the brightest shade counts for nothing
    darker = counts.cumsum(dim=1) - counts
    table = ((darker + step // 2) // step.clamp(min=1)).clamp_(max=_SHADES - 1)
    table = torch.where(step > 0, table, torch.arange(_SHADES))
    return table.gather(1, shades).view(num, channels, height, width).float().div_(255)
