"""Scaling about the centre."""

import numpy as np

from modules.augmentation.affine import Affine, Matrices, identity
from modules.augmentation.draws import Draws

REVISION = 1


class Scale(Affine):
    """Enlarges or shrinks each image by a factor between 1 / (1 + max_change) and 1 + max_change."""

    def __init__(self, max_change: float = 0.1, padding: str = "zeros") -> None:
        super().__init__(padding)
        self.max_change = max_change

    def matrices(self, draws: Draws, height: int, width: int) -> Matrices:
        """One scaling for each image; as often larger as smaller."""
        factors = np.exp(draws.either_way("factor", float(np.log1p(self.max_change))))
        matrices = identity(len(factors))
        matrices[:, 0, 0] = matrices[:, 1, 1] = 1 / factors
        return matrices
