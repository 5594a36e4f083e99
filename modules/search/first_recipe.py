"""The recipe a study starts with: what the configuration leaves open is chosen from the data by rule."""

from modules.parts import build
from modules.recipe import Recipe
from modules.records import DataRecord, Part
from modules.search.plan import slice_rule

_AVERAGES_A_SLICE = 8  # the average's half-life is this fraction of a slice, so that a slice's end is what it shows


def first_recipe(
    data: DataRecord,
    *,
    model: Part,
    initialisation: Part,
    optimizer: Part,
    schedule: Part,
    selection: Part,
    learning_rate: float,
    batch_size: int | None,
    label_smoothing: float,
    gradient_clip: float | None,
    averaging: str,
    averaging_samples: float | None,
) -> Recipe:
    """The baseline's recipe on `data`; None leaves a choice to the rules below."""
    num_train = data.num_images["train"]
    architecture = build(
        model,
        image_shape=data.image_shape,
        num_classes=len(data.classes),
        num_images=num_train,
        mean=data.mean,
        std=data.std,
    )
    half_life = averaging_samples or slice_rule(num_train) / _AVERAGES_A_SLICE
    return Recipe(
        architecture=architecture,
        initialisation=initialisation,
        optimizer=optimizer,
        schedule=schedule,
        learning_rate=learning_rate,
        batch_size=min(batch_size or batch_rule(num_train), num_train),
        selection=selection,
        label_smoothing=label_smoothing,
        averaging_samples=0 if averaging == "none" else max(1, round(half_life)),
        gradient_clip=gradient_clip,
    )


def batch_rule(num_train: int) -> int:
    """128, and fewer where an epoch would have less than 16 updates, but not under 16: a power of two."""
    largest = max(16, min(128, num_train // 16))
    return 1 << (largest.bit_length() - 1)
