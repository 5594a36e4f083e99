"""Predictions of a finished study's winner, by its exported model: no torch, no training code."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from modules.data.image_file import Size, read_image
from modules.errors import StudyError


def predict_files(study: str, files: Sequence[Path], home: Path) -> Iterator[tuple[Path, str, float]]:
    """For each image file its most probable class and how probable it is."""
    from modules.deployment.inference import ExportedModel

    path = home / "studies" / study / "champion" / "model.onnx"
    if not path.exists():
        raise StudyError(f"study {study!r} has no winner yet; run it to its end first")
    model = ExportedModel(path)
    size = Size(*model.image_shape)
    for file in files:
        probabilities = model.probabilities(read_image(file, size)[None])[0]
        best = int(probabilities.argmax())
        yield file, model.classes[best], float(probabilities[best])
