"""Shearing: rows slide along each other, and columns."""

from modules.augmentation.affine import Affine, Matrices, identity
from modules.augmentation.draws import Draws

REVISION = 1


class Shear(Affine):
    """Slides rows by up to `max_shear` of their distance from the centre, and columns likewise, either way."""

    def __init__(self, max_shear: float = 0.1, padding: str = "zeros") -> None:
        super().__init__(padding)
        self.max_shear = max_shear

    def matrices(self, draws: Draws, height: int, width: int) -> Matrices:
        """One shearing for each image."""
        matrices = identity(len(draws.identities))
        matrices[:, 0, 1] = draws.either_way("x", self.max_shear)
        matrices[:, 1, 0] = draws.either_way("y", self.max_shear)
        return matrices
