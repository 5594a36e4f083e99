"""Finding bundles and using them from Python.

from modules.deployment.bundles import load

load("mlruns/bundles/digits/482d34d3ed70").predict(images).classes
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modules.data.image_file import Size, read_image
from modules.deployment.inference import ExportedModel
from modules.deployment.manifest import Manifest
from modules.deployment.server.errors import StartError
from modules.deployment.server.integrity import MANIFEST, read_manifest
from modules.errors import DataError, DeploymentError


@dataclass(frozen=True)
class Predictions:
    """Of N images: the most probable class of each, and `probabilities` (N, classes)."""

    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]


class LoadedBundle:
    """A bundle's model in this process."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path = path
        self.manifest = manifest_of(path)
        self._model = ExportedModel(path / "model.onnx", threads)

    def predict(self, images: NDArray[np.uint8]) -> Predictions:
        """What the model says of uint8 images (N, height, width, channels); grey ones may lack the last axis."""
        images = np.asarray(images)
        shape = self.manifest.image_shape
        if images.ndim == 3 and shape[2] == 1:
            images = images[..., None]
        if images.dtype != np.uint8 or images.shape[1:] != shape:
            raise DataError(
                f"the images are {images.dtype} of shape {images.shape}; allowed is uint8 of shape "
                f"(N, {', '.join(map(str, shape))})"
            )
        probabilities = self._model.probabilities(images)
        return Predictions(tuple(self.manifest.classes[best] for best in probabilities.argmax(1)), probabilities)

    def predict_files(self, files: Sequence[Path]) -> Predictions:
        """The same for image files, which are made as large as the model wants them."""
        size = Size(*self.manifest.image_shape)
        return self.predict(np.stack([read_image(file, size) for file in files]))


def load(bundle: str | os.PathLike[str], threads: int = 1) -> LoadedBundle:
    """The bundle in a folder; DeploymentError where it is none, was altered, or is of a newer format."""
    return LoadedBundle(Path(bundle), threads)


def manifest_of(path: Path) -> Manifest:
    """What a whole bundle says of itself; DeploymentError otherwise."""
    try:
        return Manifest.model_validate(read_manifest(path))
    except StartError as error:
        raise DeploymentError(str(error)) from None
    except ValueError:
        raise DeploymentError(f"{path} holds a bundle that this program cannot read; make it again") from None


def find_bundle(name: str, home: Path) -> Path:
    """The bundle that a person means: a folder, MODEL/VERSION, a model (what was made last of it) or a study."""
    for folder in (Path(name), home / "bundles" / name):
        if (folder / MANIFEST).is_file():
            return folder.resolve()
    versions = [path.parent for path in (home / "bundles" / name).glob(f"[!.]*/{MANIFEST}")]
    if versions:
        return max(versions, key=_made)
    return _of_study(name, home)


def _made(bundle: Path) -> tuple[float, float]:
    """When its model was made, and when it was itself: its folder's time changes with whatever is installed there."""
    path = bundle / MANIFEST
    try:
        return float(json.loads(path.read_bytes())["made_at"]), path.stat().st_mtime
    except (OSError, ValueError, KeyError, TypeError):
        return -math.inf, -math.inf  # it is damaged


def _of_study(name: str, home: Path) -> Path:
    summary = home / "studies" / name / "summary.json"
    if not summary.is_file():
        models = sorted(path.name for path in (home / "bundles").glob("[!.]*") if path.is_dir())
        raise DeploymentError(
            f"no bundle {name!r}: it is no folder of one, no study, and no model under {home / 'bundles'} "
            f"(there are: {', '.join(models) or 'none'})"
        )
    bundle = json.loads(summary.read_text()).get("bundle")
    if bundle is None:
        raise DeploymentError(f"study {name!r} has no bundle; run it to its end with deployment=bundle")
    return home / bundle
