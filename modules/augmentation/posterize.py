"""Fewer shades."""

import numpy as np
from torch import Tensor

from modules.augmentation.blending import per_image
from modules.augmentation.draws import Draws

REVISION = 1

_BITS = 8


class Posterize:
    """Leaves each value its highest bits, of eight at least `min_bits`."""

    def __init__(self, min_bits: int = 4) -> None:
        self.min_bits = min_bits

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Round the values of each image (N x C x H x W) down."""
        bits = _BITS - np.floor(draws.up_to("bits", _BITS - self.min_bits + 1)).clip(max=_BITS - self.min_bits)
        step = per_image(2.0 ** (_BITS - bits))
        return (images * 255).round_().div_(step).floor_().mul_(step).div_(255)
