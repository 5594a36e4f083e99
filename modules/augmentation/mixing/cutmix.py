"""A rectangle of one image pasted into another (Yun et al. 2019, arXiv:1905.04899)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modules.augmentation.draws import Draws
from modules.augmentation.mixing.partners import mix, partners, symmetric_beta

REVISION = 1


class Cutmix:
    """Pastes, with `probability`, a rectangle of another image, which leaves about Beta(`alpha`, `alpha`) of the area.

    Its centre may be any pixel and its sides are in the proportion of the image's; what sticks out is cut off.
    """

    def __init__(self, alpha: float = 1.0, probability: float = 0.5) -> None:
        self.alpha = alpha
        self.probability = probability

    def __call__(self, images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Images (N x C x H x W) with rectangles of others, and shares of the classes (N x classes) by area."""
        draws = draws.scoped("mixing")
        others = partners(draws)
        pasted = self._pasted(draws, *images.shape[2:])
        shares = 1.0 - pasted.mean(axis=(1, 2))
        mask = torch.from_numpy(pasted)[:, None]
        return torch.where(mask, images[others], images), mix(targets, targets[others], shares)

    def _pasted(self, draws: Draws, height: int, width: int) -> NDArray[np.bool_]:
        """Which pixels (N x H x W) come from another image."""
        sides = np.sqrt(1.0 - symmetric_beta(draws, self.alpha))
        sides[draws.uniform("paste") >= self.probability] = 0.0
        rows = _span(draws.uniform("row"), sides, height)
        columns = _span(draws.uniform("column"), sides, width)
        return rows[:, :, None] & columns[:, None, :]


def _span(centres: NDArray[np.float64], sides: NDArray[np.float64], length: int) -> NDArray[np.bool_]:
    """Which places along a side (N x length) are within the rectangle; centres and sides are fractions of it."""
    extent = np.floor(sides * length)
    start = np.floor(centres * length) - extent // 2
    places = np.arange(length)
    inside: NDArray[np.bool_] = (places >= start[:, None]) & (places < (start + extent)[:, None])
    return inside
