"""TrivialAugment: one operation an image, as strong as it comes (Müller, Hutter 2021, arXiv:2103.10158)."""

from torch import Tensor

from modules.augmentation.drawn import apply_drawn
from modules.augmentation.draws import Draws
from modules.augmentation.operations import WIDE, operations

REVISION = 1


class TrivialAugment:
    """Draws an operation for each image, and its strength up to `max_strength` of the paper's wide space."""

    def __init__(self, max_strength: float = 1.0, padding: str = "zeros") -> None:
        self.max_strength = max_strength
        self.padding = padding

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Change each image (N x C x H x W)."""
        return apply_drawn(operations(WIDE, self.max_strength, self.padding), images, draws)
