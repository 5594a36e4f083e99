"""Other colours: more or less of them, and others in their place. Images of one channel have none and stay."""

import numpy as np
import torch
from torch import Tensor

from modules.augmentation.blending import blended, grey
from modules.augmentation.draws import Draws

REVISION = 1

# NTSC's brightness, orange to blue, and purple to green: the hue is an angle in the plane of the latter two.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


class Colour:
    """Changes the saturation by a factor within 1 ± `max_saturation`, turns the hue by up to `max_hue` degrees."""

    def __init__(self, max_saturation: float = 0.4, max_hue: float = 10.0) -> None:
        self.max_saturation = max_saturation
        self.max_hue = max_hue

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Change the colours of each image (N x C x H x W); those that are not red, green and blue stay."""
        if images.shape[1] != 3:
            return images
        if self.max_hue:
            images = _mixed(images, self._turns(draws))
        return blended(grey(images), images, 1 + draws.either_way("saturation", self.max_saturation))

    def _turns(self, draws: Draws) -> Tensor:
        """For each image a matrix (3 x 3) from its channels to the new ones."""
        angles = np.deg2rad(draws.either_way("hue", self.max_hue))
        turns = np.tile(np.eye(3), (len(angles), 1, 1))
        turns[:, 1, 1] = turns[:, 2, 2] = np.cos(angles)
        turns[:, 2, 1] = np.sin(angles)
        turns[:, 1, 2] = -np.sin(angles)
        return torch.from_numpy((np.linalg.inv(_YIQ) @ turns @ _YIQ).astype(np.float32))


def _mixed(images: Tensor, matrices: Tensor) -> Tensor:
    """Each new channel as a sum of all, term by term so that an image comes out the same in every batch."""
    result = torch.empty_like(images)
    for channel in range(3):
        shares = matrices[:, channel, :, None, None]
        terms = [images[:, source] * shares[:, source] for source in range(3)]
        result[:, channel] = terms[0] + terms[1] + terms[2]
    return result.clamp_(0.0, 1.0)
