"""Layer-sequential unit variance: weights scaled by a look at the data (Mishkin, Matas 2016, arXiv:1511.06422)."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modules.architecture.initialisation.orthogonal import Orthogonal

if TYPE_CHECKING:
    from torch import Tensor

    from modules.architecture.module import Network

REVISION = 1


class Lsuv:
    """Scales the weights of each layer, first to last, until its outputs' variance is within `tolerance` of 1."""

    def __init__(self, tolerance: float = 0.01, max_tries: int = 10) -> None:
        self.tolerance = tolerance
        self.max_tries = max_tries

    def draw(self, shape: tuple[int, ...], seed: int, tensor: str) -> NDArray[np.float64]:
        """Orthogonal weights (outputs, inputs, …), which `fit` scales."""
        return Orthogonal(gain=1.0).draw(shape, seed, tensor)

    def fit(self, network: "Network", images: "Tensor") -> None:
        """Scale the weights of the network's convolutions and dense layers by a look at images (N, C, H, W)."""
        from modules.architecture.initialisation.unit_variance import scale_weights  # torch is not always there

        scale_weights(network, images, self.tolerance, self.max_tries)
