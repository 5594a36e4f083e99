"""Predictions of a finished study's winner, by its exported model: no torch, no training code."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from modules.errors import DataError, StudyError


def predict_files(study: str, files: Sequence[Path], home: Path) -> Iterator[tuple[Path, str, float]]:
    """For each image file its most probable class and how probable it is."""
    import onnxruntime

    folder = home / "studies" / study / "champion"
    if not (folder / "model.onnx").exists():
        raise StudyError(f"study {study!r} has no winner yet; run it to its end first")
    model = json.loads((folder / "model.json").read_text())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    for path in files:
        image = read_image(path, model["image_shape"])
        probabilities = session.run(None, {"images": image[None]})[0][0]
        best = int(probabilities.argmax())
        yield path, model["classes"][best], float(probabilities[best])


def read_image(path: Path, image_shape: Sequence[int]) -> NDArray[np.uint8]:
    """An image file as uint8 height x width x channels of the model's shape (channels, height, width), resized to fit."""
    channels, height, width = image_shape
    try:
        with Image.open(path) as image:
            fitted = image.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"cannot read {path}: {error}; allowed are image files such as PNG or JPEG") from error
    return np.asarray(fitted, dtype=np.uint8).reshape(height, width, channels)
