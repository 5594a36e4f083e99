"""Predictions of a finished study's winner, by its exported model: no torch, no training code."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from modules.errors import DataError, StudyError


def predict_files(study: str, files: Sequence[Path], home: Path) -> Iterator[tuple[Path, str, float]]:
    """For each image file its most probable class and how probable it is."""
    from modules.deployment.inference import ExportedModel

    path = home / "studies" / study / "champion" / "model.onnx"
    if not path.exists():
        raise StudyError(f"study {study!r} has no winner yet; run it to its end first")
    model = ExportedModel(path)
    for file in files:
        probabilities = model.probabilities(read_image(file, model.image_shape)[None])[0]
        best = int(probabilities.argmax())
        yield file, model.classes[best], float(probabilities[best])


def read_image(path: Path, image_shape: Sequence[int]) -> NDArray[np.uint8]:
    """An image file as uint8 of the model's shape (height, width, channels), resized to fit."""
    height, width, channels = image_shape
    try:
        with Image.open(path) as image:
            fitted = image.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"cannot read {path}: {error}; allowed are image files such as PNG or JPEG") from error
    return np.asarray(fitted, dtype=np.uint8).reshape(height, width, channels)
