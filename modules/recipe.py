"""The recipe: all that determines a training, as frozen data with a digest. No code, no tensors."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from modules.architecture.description import Architecture
from modules.records import Part, Record


class Distillation(Record):
    """Learning from what a trained network says, besides the labels (Hinton et al. 2015, arXiv:1503.02531)."""

    teacher: str  # key of its trial
    weights_sha256: str  # of that trial's averaged weights
    weight: Annotated[float, Field(gt=0, le=1)]  # of the teacher in the loss; the labels have the rest
    temperature: PositiveFloat  # that both networks' logits are divided by


class Recipe(Record):
    """What is trained and how; how long, on which data and with which seed is said by the trial."""

    architecture: Architecture
    initialisation: Part
    optimizer: Part  # without its learning rate
    schedule: Part
    learning_rate: PositiveFloat
    batch_size: PositiveInt  # at the start
    batching: Part = Part(target="modules.training.batching.fixed.Fixed")  # how it changes
    augmentation: tuple[Part, ...] = ()  # in the order in which they are applied
    augmentation_mode: Literal["all", "one"] = "all"  # one: half of the images go through one of them, drawn
    augmentation_copies: PositiveInt | None = None  # made once and added, instead of drawing anew each time
    mixing: Part | None = None  # of several images into one
    selection: Part
    balance: Part | None = None  # of classes of unequal sizes
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None  # while training; None: as the architecture has it
    averaging: Part = Part(target="modules.training.averages.none.NoAverage")  # of the weights, which is what is judged
    gradient_clip: PositiveFloat | None = None  # largest norm of the gradient
    frozen_until: str | None = None  # the node up to whose output nothing is trained; all later ones go through it
    frozen_statistics: bool = False  # normalisations keep those that they started with
    first_layer_rate: Annotated[float, Field(gt=0, le=1)] = 1.0  # of the last layer's; in between by equal ratios
    distillation: Distillation | None = None

    @model_validator(mode="after")
    def _freezes_at_a_cut(self) -> Self:
        if self.frozen_until is not None and self.frozen_until not in self.architecture.cuts():
            raise ValueError(
                f"the network cannot be frozen up to {self.frozen_until!r}: not everything later goes through it; "
                f"allowed are {', '.join(self.architecture.cuts())}"
            )
        return self

    @property
    def began_pretrained(self) -> bool:
        """Whether its weights came from other images, so that it is fine-tuned."""
        return self.frozen_statistics or self.first_layer_rate != 1.0

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts that its results depend on."""
        one_each = (self.initialisation, self.optimizer, self.schedule, self.batching, self.averaging, self.selection)
        return (*one_each, *self.augmentation, *filter(None, [self.mixing, self.balance]))
