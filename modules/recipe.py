"""The recipe: all that determines a training, as frozen data with a digest. No code, no tensors."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from modules.architecture.description import Architecture
from modules.records import Part, Record


class Recipe(Record):
    """What is trained and how; how long, on which data and with which seed is said by the trial."""

    architecture: Architecture
    initialisation: Part
    optimizer: Part  # without its learning rate
    schedule: Part
    learning_rate: PositiveFloat
    batch_size: PositiveInt
    augmentation: tuple[Part, ...] = ()  # in the order in which they are applied
    selection: Part
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    averaging_samples: Annotated[int, Field(ge=0)] = 0  # half-life of the averaged weights; 0: the weights themselves
    gradient_clip: PositiveFloat | None = None  # largest norm of the gradient
