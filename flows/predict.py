"""Predictions for image files by a bundle's model, or by a study's winner: no torch, no training code."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from modules.data.image_file import Size, read_image
from modules.deployment.bundles import find_bundle, manifest_of
from modules.deployment.inference import ExportedModel
from modules.errors import DeploymentError

_MANY = 50  # files from which on a bar is shown


def predict_files(name: str, files: Sequence[Path], home: Path) -> Iterator[tuple[Path, str, float]]:
    """For each image file its most probable class and how probable it is, with a bar on standard error for many."""
    model = ExportedModel(_model_file(name, home))
    size, console = Size(*model.image_shape), Console(stderr=True)
    shown = track(files, "predicting", console=console, transient=True, disable=len(files) < _MANY)
    for file in shown if console.is_terminal else files:
        probabilities = model.probabilities(read_image(file, size)[None])[0]
        best = int(probabilities.argmax())
        yield file, model.classes[best], float(probabilities[best])


def _model_file(name: str, home: Path) -> Path:
    """Of the bundle; of the study's winner where it ended without one."""
    winner = home / "studies" / name / "champion" / "model.onnx"
    try:
        bundle = find_bundle(name, home)
    except DeploymentError:
        if not winner.is_file():
            raise
        return winner
    manifest_of(bundle)  # it is whole
    return bundle / "model.onnx"
