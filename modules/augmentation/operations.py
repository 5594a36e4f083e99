"""The fourteen operations that RandAugment and TrivialAugment draw from, and how strong each may be."""

from dataclasses import dataclass

from modules.augmentation.affine import Affine, Matrices, identity
from modules.augmentation.auto_contrast import AutoContrast
from modules.augmentation.brightness import Brightness
from modules.augmentation.colour import Colour
from modules.augmentation.contrast import Contrast
from modules.augmentation.drawn import Transform
from modules.augmentation.draws import Draws
from modules.augmentation.equalize import Equalize
from modules.augmentation.posterize import Posterize
from modules.augmentation.rotate import Rotate
from modules.augmentation.sharpness import Sharpness
from modules.augmentation.solarize import Solarize

REVISION = 1

_X, _Y, _SHIFT = 0, 1, 2  # rows and columns of a matrix


@dataclass(frozen=True)
class Space:
    """The greatest strength of each operation; shifts in sides of the image."""

    shear: float
    shift: float
    degrees: float
    change: float  # of brightness, colour, contrast and sharpness
    bits: int  # that posterising leaves


STANDARD = Space(shear=0.3, shift=150 / 331, degrees=30.0, change=0.9, bits=4)  # RandAugment's
WIDE = Space(shear=0.99, shift=1.0, degrees=135.0, change=0.99, bits=2)  # TrivialAugment's


class _Along(Affine):
    """A shear or a shift along one axis: one entry of the matrix."""

    def __init__(self, row: int, column: int, limit: float, padding: str) -> None:
        super().__init__(padding)
        self.row, self.column, self.limit = row, column, limit

    def matrices(self, draws: Draws, height: int, width: int) -> Matrices:
        side = 1 if self.column != _SHIFT else (width, height)[self.row]
        matrices = identity(len(draws.identities))
        matrices[:, self.row, self.column] = draws.either_way("amount", self.limit * side)
        return matrices


def operations(space: Space, strength: float, padding: str) -> tuple[Transform | None, ...]:
    """The operations at a strength between 0, which changes next to nothing, and 1."""
    change = strength * space.change
    return (
        None,
        AutoContrast(1.0),
        Equalize(1.0),
        Rotate(strength * space.degrees, padding),
        Solarize(1 - strength),
        Colour(change, 0.0),
        Posterize(round(8 - strength * (8 - space.bits))),
        Contrast(change),
        Brightness(change),
        Sharpness(change),
        _Along(_X, _Y, strength * space.shear, padding),
        _Along(_Y, _X, strength * space.shear, padding),
        _Along(_X, _SHIFT, strength * space.shift, padding),
        _Along(_Y, _SHIFT, strength * space.shift, padding),
    )
