"""A data set of a few made-up images in a home of its own, and trials on it that take a moment."""

from pathlib import Path
from typing import Any

import numpy as np

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import Activation, Conv, Dense, Dropout, GlobalPool, Norm, Standardise
from modules.data.parts import PARTS
from modules.digests import digest_of
from modules.energy.meter import MeterChoice
from modules.randomness import uniform, words
from modules.recipe import Recipe
from modules.records import DataRecord, Numerics, Part
from modules.training.spec import Slice, TrialSpec

NUM_TRAIN, NUM_STEER, NUM_CONFIRM, NUM_TEST = 60, 20, 20, 20
NUMERICS = Numerics(torch="any", cpu_capability="any", threads=1, precision="float32", channels_last=True)
PLAIN: dict[str, Any] = {"balanced": False, "meter": MeterChoice()}  # of a laboratory


def make_data(home: Path, order: str = "as made") -> DataRecord:
    """Eight by eight pixels, three classes: lying stripes, standing stripes and none, in noise."""
    count = NUM_TRAIN + NUM_STEER + NUM_CONFIRM + NUM_TEST
    places = np.arange(count, dtype=np.uint64)
    labels = np.arange(count, dtype=np.int64) % 3
    images = uniform("tiny", places[:, None], np.arange(64, dtype=np.uint64)).reshape(count, 8, 8) * 150
    stripes = images.reshape(count, 8, 8)
    stripes[labels == 0, ::2, :] += 100
    stripes[labels == 1, :, ::2] += 100
    parts = np.repeat(np.arange(4, dtype=np.uint8), [NUM_TRAIN, NUM_STEER, NUM_CONFIRM, NUM_TEST])
    arrays = {
        "images": images.astype(np.uint8)[..., None],
        "labels": labels,
        "parts": parts,
        "identities": words("tiny identity", places),
    }
    if order == "reversed":
        arrays = {name: np.ascontiguousarray(array[::-1]) for name, array in arrays.items()}
    folder = home / "store" / "data" / order.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    sizes = dict(zip(PARTS, (NUM_TRAIN, NUM_STEER, NUM_CONFIRM, NUM_TEST), strict=True))
    return DataRecord(
        name="tiny",
        digest=digest_of("tiny"),
        test_digest=digest_of("tiny test"),
        folder=str(folder.relative_to(home)),
        classes=("lying", "standing", "none"),
        image_shape=(1, 8, 8),
        num_images=sizes,
        num_groups=sizes,
        mean=(0.3,),
        std=(0.2,),
    )


def tiny_architecture(dropout: float = 0.2) -> Architecture:
    """A convolution with normalisation, dropout, a dense layer: all that draws or keeps statistics."""
    return Architecture(
        image_shape=(1, 8, 8),
        num_classes=3,
        nodes=(
            Standardise(name="standardise1", inputs=(IMAGE,), mean=(0.3,), std=(0.2,)),
            Conv(name="conv1", inputs=("standardise1",), channels=6, kernel=3, stride=2, padding=1, bias=False),
            Norm(name="norm1", inputs=("conv1",)),
            Activation(name="act1", inputs=("norm1",)),
            GlobalPool(name="pool1", inputs=("act1",), kind="max"),
            Dropout(name="drop1", inputs=("pool1",), rate=dropout),
            Dense(name="dense1", inputs=("drop1",), units=3),
        ),
    )


def schedule(name: str, **arguments: Any) -> Part:
    module = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
    return Part(target=f"modules.training.schedules.{module}.{name}", arguments=arguments)


ADAMW = Part(target="torch.optim.AdamW", arguments={"weight_decay": 0.01})


def ema(half_life_samples: float) -> Part:
    return Part(target="modules.training.averages.ema.Ema", arguments={"half_life_samples": half_life_samples})


NO_AVERAGE = Part(target="modules.training.averages.none.NoAverage")


def tiny_recipe(**changes: Any) -> Recipe:
    recipe = Recipe(
        architecture=tiny_architecture(),
        initialisation=Part(target="modules.architecture.initialisation.kaiming.Kaiming"),
        optimizer=ADAMW,
        schedule=schedule("Constant"),
        learning_rate=0.01,
        batch_size=16,
        augmentation=(Part(target="modules.augmentation.shift.Shift", arguments={"max_pixels": 1}),),
        selection=Part(target="modules.selection.keep_all.KeepAll"),
        label_smoothing=0.05,
        averaging=ema(64.0),
    )
    return recipe.updated(**changes)


def tiny_spec(data: DataRecord, samples: int = 160, seed: int = 0, **changes: Any) -> TrialSpec:
    """A trial of ten updates and two looks, unless told otherwise; `changes` are of the slice."""
    piece = Slice(**{"samples": samples, "evaluate_every": 80, **changes})
    return TrialSpec(recipe=tiny_recipe(), slice=piece, seed=seed, data=data, numerics=NUMERICS)


def quiet(progress: object) -> None:
    """A report that says nothing."""
