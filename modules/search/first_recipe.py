"""The recipe a study starts with: what the configuration leaves open is chosen from the data by rule."""

from typing import Literal

from pydantic import ValidationError

from modules.architecture.description import Architecture
from modules.errors import ConfigError
from modules.parts import build
from modules.recipe import Recipe
from modules.records import DataRecord, Part
from modules.search.planning import slice_rule
from modules.training.spec import RANGE_TEST_UPDATES

_LONGEST_RANGE_TEST = 20  # epochs; a full batch at each update would take longer than the training
_AVERAGES_A_SLICE = 4  # the half-life is this fraction of a slice: longer hides what shrinking edits recover (LOG.md)


def first_recipe(
    data: DataRecord,
    *,
    model: Part,
    initialisation: Part,
    optimizer: Part,
    schedule: Part,
    batching: Part,
    averaging: Part,
    mixing: Part | None,
    selection: Part,
    learning_rate: float,
    batch_size: int | Literal["all", "measured"] | None,
    label_smoothing: float,
    gradient_clip: float | None,
    dropout: float | None = None,
    balance: Part | None = None,
) -> Recipe:
    """The baseline's recipe on `data`; None leaves a choice to the rules below."""
    num_train = data.num_images["train"]
    return Recipe(
        architecture=model_of(model, data),
        initialisation=initialisation,
        optimizer=optimizer,
        schedule=schedule,
        learning_rate=learning_rate,
        batch_size=batch_size_of(batch_size, num_train),
        selection=selection,
        balance=balance,
        label_smoothing=label_smoothing,
        dropout=dropout,
        batching=batching,
        averaging=averaging_of(averaging, num_train),
        mixing=mixing,
        gradient_clip=gradient_clip,
    )


def model_of(model: Part, data: DataRecord, width: float | None = None) -> Architecture:
    """What a model's rule gives for this data, at a width where one is given."""
    if width is not None:
        model = model.updated(arguments={**model.arguments, "width": width})
    try:
        architecture: Architecture = build(
            model,
            image_shape=data.image_shape,
            num_classes=len(data.classes),
            num_images=data.num_images["train"],
            mean=data.mean,
            std=data.std,
        )
    except ValidationError as error:
        shape, reason = " x ".join(map(str, data.image_shape)), error.errors()[0]["msg"]
        raise ConfigError(
            f"model={model.name} does not fit images of {shape}: {reason}; allowed is another model, such as auto"
        ) from None
    return architecture


def leaves_width_open(model: Part) -> bool:
    """Whether the model has a width and nobody has given it."""
    return model.arguments.get("width", 0.0) is None


def averaging_of(averaging: Part, num_train: int) -> Part:
    """An average with the half-life that suits the data, where it has one and none was given."""
    return averaging_within(averaging, slice_rule(num_train))


def averaging_within(averaging: Part, slice_samples: int) -> Part:
    """The same with the half-life that suits slices of so many samples."""
    if averaging.arguments.get("half_life_samples", 0) is not None:
        return averaging
    half_life = max(1.0, slice_samples / _AVERAGES_A_SLICE)
    return averaging.updated(arguments={**averaging.arguments, "half_life_samples": half_life})


def batch_size_of(wished: int | Literal["all", "measured"] | None, num_train: int) -> int:
    """The batch size wished for; without a wish, that of the rule."""
    if wished is None or wished == "measured":  # the measurement starts from the rule
        return min(batch_rule(num_train), num_train)
    if wished == "all":
        return num_train
    if wished > num_train:
        raise ConfigError(
            f"training.batch_size={wished} is larger than the training data; allowed is up to {num_train}, or all"
        )
    return wished


def range_test_fits(batch_size: int, num_train: int) -> bool:
    """Whether a range test is short enough to be worth it."""
    return RANGE_TEST_UPDATES * batch_size <= _LONGEST_RANGE_TEST * num_train


def batch_rule(num_train: int) -> int:
    """128, which two cores train about as fast with as with more, and fewer where an epoch would be short."""
    return min(128, batch_limit(num_train))


def batch_limit(num_train: int) -> int:
    """The largest power of two that leaves an epoch 16 updates, but not under 16."""
    return 1 << (max(16, num_train // 16).bit_length() - 1)
