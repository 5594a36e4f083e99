"""The images by which a gate judges: frozen when the first bundle of a model comes to it."""

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modules import disk
from modules.data.arrays import Arrays, open_arrays
from modules.deployment.manifest import Manifest
from modules.deployment.server.integrity import sha256_of
from modules.errors import DeploymentError
from modules.records import Record
from modules.store import explained_write_errors

_FOLDER = "gate-images"
_ARRAYS = ("images", "labels", "identities")


class GateImages(NamedTuple):
    """Images (uint8, N x H x W x C), labels (N) and identities (N: hashes of content), and the names of the classes."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    identities: NDArray[np.uint64]
    classes: tuple[str, ...]


class _Frozen(Record):
    classes: tuple[str, ...]
    data: str  # digest of what they were taken from
    files: dict[str, str]  # SHA-256 by name


def gate_images(manifest: Manifest, home: Path) -> GateImages:
    """The images of a model's gate; taken from the *confirm* part of this bundle's data where there are none yet."""
    folder = home / "bundles" / manifest.model / _FOLDER
    if not folder.is_dir():
        _freeze(folder, manifest, home)
    frozen = _Frozen.model_validate_json((folder / "record.json").read_text())
    for name, digest in frozen.files.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != digest:
            raise DeploymentError(
                f"the images of the gate in {folder} were altered ({name}); put the folder back from a copy, or remove "
                "it to freeze new ones with the next promotion"
            )
    images, labels, identities = (np.load(folder / f"{name}.npy") for name in _ARRAYS)
    return GateImages(images, labels, identities, frozen.classes)


def arrays_of(manifest: Manifest, home: Path) -> Arrays:
    """All images of a bundle's study; DeploymentError where they are gone, as after `espalier gc`."""
    folder = home / manifest.data.folder
    try:
        return open_arrays(home, manifest.data)
    except FileNotFoundError:
        raise DeploymentError(
            f"the images that bundle {manifest.version} was trained on are gone from {folder}, so that the gate cannot "
            f"judge it; run study {manifest.study} again"
        ) from None


def _freeze(folder: Path, manifest: Manifest, home: Path) -> None:
    arrays = arrays_of(manifest, home)
    confirm = arrays.indices("confirm")
    with explained_write_errors(folder.parent):
        making = Path(tempfile.mkdtemp(prefix=".gate-", dir=folder.parent))
        try:
            for name in _ARRAYS:
                np.save(making / f"{name}.npy", getattr(arrays, name)[confirm])
            files = {path.name: sha256_of(path) for path in sorted(making.iterdir())}
            frozen = _Frozen(classes=manifest.classes, data=manifest.data.digest, files=files)
            disk.in_use.write(making / "record.json", frozen.model_dump_json(indent=1).encode())
            for path in (*making.iterdir(), making):
                disk.in_use.flush(path)
            making.chmod(0o755)
            disk.in_use.rename(making, folder)
            disk.in_use.flush(folder.parent)
        finally:
            shutil.rmtree(making, ignore_errors=True)
