"""Convex combinations of two images and their targets (Zhang et al. 2018, arXiv:1710.09412)."""

from torch import Tensor

from modules.augmentation.draws import Draws
from modules.augmentation.mixing.partners import mix, partners, symmetric_beta

REVISION = 1


class Mixup:
    """Blends each image of a batch with another, in shares of Beta(`alpha`, `alpha`)."""

    def __init__(self, alpha: float = 0.2) -> None:
        self.alpha = alpha

    def __call__(self, images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Blended images (N x C x H x W) and shares of the classes (N x classes)."""
        draws = draws.scoped("mixing")
        others = partners(draws)
        shares = symmetric_beta(draws, self.alpha)
        return mix(images, images[others], shares), mix(targets, targets[others], shares)
