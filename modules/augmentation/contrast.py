"""More or less contrast."""

from torch import Tensor

from modules.augmentation.blending import blended, grey
from modules.augmentation.draws import Draws

REVISION = 1


class Contrast:
    """Takes each image's distance from its mean brightness times a factor between 1 - `max_change` and 1 + it."""

    def __init__(self, max_change: float = 0.4) -> None:
        self.max_change = max_change

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Change the contrast of each image (N x C x H x W)."""
        # In double precision, whose rounding differs with the size of a batch: what is left in single does not.
        mean = grey(images).double().mean(dim=(1, 2, 3), keepdim=True).float()
        return blended(mean, images, 1 + draws.either_way("contrast", self.max_change))
