"""Patch whitening: the first convolution starts with the principal directions of what it sees.

Its outputs are then uncorrelated and of equal variance (Coates and Ng 2012; Page 2018; Jordan 2024, arXiv:2404.00498).
All other layers are drawn as by Kaiming.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modules.architecture.initialisation.kaiming import Kaiming

if TYPE_CHECKING:
    from torch import Tensor

    from modules.architecture.module import Network

REVISION = 1


class Whitening:
    """Whitens the patches of the first convolution; `eps` is added to their variances, of standardised pixels."""

    def __init__(self, eps: float = 5e-4) -> None:
        self.eps = eps

    def draw(self, shape: tuple[int, ...], seed: int, tensor: str) -> NDArray[np.float64]:
        """Weights (outputs, inputs, …) as Kaiming draws them; `fit` replaces those of the first convolution."""
        return Kaiming().draw(shape, seed, tensor)

    def fit(self, network: "Network", images: "Tensor") -> None:
        """Set the first convolution's weights from images (N, C, H, W)."""
        from modules.architecture.initialisation.patches import whiten_first_convolution  # torch is not always there

        whiten_first_convolution(network, images, self.eps)
