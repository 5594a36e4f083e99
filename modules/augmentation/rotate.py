"""Rotation about the centre."""

import numpy as np

from modules.augmentation.affine import Affine, Matrices, identity
from modules.augmentation.draws import Draws

REVISION = 1


class Rotate(Affine):
    """Turns each image by up to `max_degrees` either way."""

    def __init__(self, max_degrees: float = 10.0, padding: str = "zeros") -> None:
        super().__init__(padding)
        self.max_degrees = max_degrees

    def matrices(self, draws: Draws, height: int, width: int) -> Matrices:
        """One rotation for each image."""
        angles = np.deg2rad(draws.either_way("angle", self.max_degrees))
        matrices = identity(len(angles))
        matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(angles)
        matrices[:, 0, 1] = -np.sin(angles)
        matrices[:, 1, 0] = np.sin(angles)
        return matrices
