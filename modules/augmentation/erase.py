"""Erasing a rectangle (Zhong et al. 2017, arXiv:1708.04896; DeVries, Taylor 2017, arXiv:1708.04552)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modules.augmentation.draws import Draws

REVISION = 1


class Erase:
    """Paints a rectangle of up to `max_fraction` of each side in the grey `value`, with `probability`."""

    def __init__(self, probability: float = 0.5, max_fraction: float = 0.4, value: float = 0.0) -> None:
        self.probability = probability
        self.max_fraction = max_fraction
        self.value = value

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Erase within some of the images (N x C x H x W)."""
        height, width = images.shape[2:]
        erased = draws.uniform("erase") < self.probability
        rows = self._span(draws, "height", height) & erased[:, None]
        columns = self._span(draws, "width", width)
        mask = torch.from_numpy(rows[:, None, :, None] & columns[:, None, None, :])
        return images.clone().masked_fill_(mask, self.value)  # the clone keeps the memory format

    def _span(self, draws: Draws, side: str, length: int) -> NDArray[np.bool_]:
        """Which places along a side (N x length) are within the rectangle, which lies whole within the image."""
        extent = np.ceil(draws.uniform(side, 0.0, self.max_fraction) * length)
        start = np.floor(draws.uniform(f"{side}/start") * (length - extent + 1))
        places = np.arange(length)
        inside: NDArray[np.bool_] = (places >= start[:, None]) & (places < (start + extent)[:, None])
        return inside
