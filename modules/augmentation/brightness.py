"""Lighter or darker images."""

from torch import Tensor

from modules.augmentation.blending import per_image
from modules.augmentation.draws import Draws

REVISION = 1


class Brightness:
    """Multiplies each image by a factor between 1 - `max_change` and 1 + `max_change`."""

    def __init__(self, max_change: float = 0.4) -> None:
        self.max_change = max_change

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Change the brightness of each image (N x C x H x W)."""
        return (images * per_image(1 + draws.either_way("brightness", self.max_change))).clamp_(0.0, 1.0)
