"""Mirror images."""

import torch
from torch import Tensor

from modules.augmentation.affine import Affine, Matrices, identity
from modules.augmentation.draws import Draws

REVISION = 1

_AXES = {"horizontal": 0, "vertical": 1}


class Flip(Affine):
    """Mirrors each image, left to right or top to bottom, with `probability`."""

    interpolates = False

    def __init__(self, probability: float = 0.5, direction: str = "horizontal") -> None:
        super().__init__()
        if direction not in _AXES:
            raise ValueError(f"direction is {direction!r}; allowed are {', '.join(_AXES)}")
        self.probability = probability
        self.direction = direction

    def matrices(self, draws: Draws, height: int, width: int) -> Matrices:
        """A reflection or the identity for each image."""
        axis = _AXES[self.direction]
        matrices = identity(len(draws.identities))
        matrices[draws.uniform("flip") < self.probability, axis, axis] = -1
        return matrices

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Mirror some of the images (N x C x H x W)."""
        flipped = torch.from_numpy(draws.uniform("flip") < self.probability)
        side = 3 - _AXES[self.direction]
        return torch.where(flipped[:, None, None, None], images.flip(side), images)
