"""A part of the image, enlarged to the whole."""

from modules.augmentation.affine import Affine, Matrices, identity
from modules.augmentation.draws import Draws

REVISION = 1


class Crop(Affine):
    """Shows a window of at least `min_fraction` of each side, somewhere within the image, at the image's size."""

    def __init__(self, min_fraction: float = 0.8, padding: str = "border") -> None:
        super().__init__(padding)
        self.min_fraction = min_fraction

    def matrices(self, draws: Draws, height: int, width: int) -> Matrices:
        """One window for each image."""
        fraction = draws.uniform("fraction", self.min_fraction, 1.0)
        matrices = identity(len(fraction))
        matrices[:, 0, 0] = matrices[:, 1, 1] = fraction
        matrices[:, 0, 2] = (1 - fraction) * width * draws.uniform("x", -0.5, 0.5)
        matrices[:, 1, 2] = (1 - fraction) * height * draws.uniform("y", -0.5, 0.5)
        return matrices
