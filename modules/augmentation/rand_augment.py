"""RandAugment: some operations an image, all of one strength (Cubuk et al. 2020, arXiv:1909.13719)."""

from torch import Tensor

from modules.augmentation.drawn import apply_drawn
from modules.augmentation.draws import Draws
from modules.augmentation.operations import STANDARD, operations

REVISION = 1

_LARGEST = 30.0


class RandAugment:
    """Draws `num_ops` operations for each image, one after the other, each at `magnitude` of 30."""

    def __init__(self, num_ops: int = 2, magnitude: float = 9.0, padding: str = "zeros") -> None:
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.padding = padding

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Change each image (N x C x H x W)."""
        drawn_from = operations(STANDARD, self.magnitude / _LARGEST, self.padding)
        for number in range(self.num_ops):
            scoped = draws.scoped(f"operation{number}").at_full_strength()
            images = apply_drawn(drawn_from, images, scoped)
        return images
