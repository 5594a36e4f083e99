"""The deploy target `bundle`: a folder with the model, a server of its own and the proof that both do what PyTorch did.

It is made under a temporary name in `bundles/<model>` and renamed once every check has passed.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from modules import disk
from modules.data.arrays import open_arrays
from modules.deployment.card import card_of
from modules.deployment.files import HERE, write_described, write_files
from modules.deployment.manifest import GateLimits, Manifest
from modules.deployment.parity import check_parity
from modules.deployment.quantisation import quantise
from modules.deployment.server.errors import StartError
from modules.deployment.server.integrity import check_sums, sha256_of
from modules.deployment.winner import Winner
from modules.digests import digest_of
from modules.evaluation.outputs import Outputs
from modules.parts import revisions_of
from modules.store import explained_write_errors

REVISION = 1

_MAKING = ".making-"
_DIGITS = 12
_LEFT_BEHIND_SECONDS = 24 * 3600.0


class Bundle:
    """Makes bundles. The margins are what a bundle asks of itself at the gate; see `GateLimits`."""

    def __init__(
        self,
        int8: bool,
        int8_margin: float,
        margin: float,
        class_margin: float,
        calibration_margin: float,
        max_latency_ms: float | None,
        max_size_mb: float | None,
    ) -> None:
        self.int8 = int8
        self.int8_margin = int8_margin
        self.limits = GateLimits(
            margin=margin,
            class_margin=class_margin,
            calibration_margin=calibration_margin,
            max_latency_ms=max_latency_ms,
            max_size_mb=max_size_mb,
        )

    def deploy(self, winner: Winner, home: Path, say: Callable[[str], None]) -> Path:
        """The folder of the winner's bundle, made or found; DeploymentError where it does not pass its checks."""
        folder = home / "bundles" / winner.data.name / self.version_of(winner)
        if is_whole(folder):
            return folder
        with explained_write_errors(folder.parent):
            folder.parent.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(folder.parent)
            making = Path(tempfile.mkdtemp(prefix=_MAKING, dir=folder.parent))
            try:
                self._make(making, winner, folder.name, home, say)
                _keep(making, folder)
            finally:
                shutil.rmtree(making, ignore_errors=True)
        return folder

    def version_of(self, winner: Winner) -> str:
        """The name of what the bundle is made of: the winner, the server, and what is asked of it."""
        sources = {
            path.relative_to(HERE).as_posix(): sha256_of(path)
            for path in sorted([*(HERE / "server").iterdir(), *(HERE / "templates").iterdir()])
            if path.is_file()
        }
        made_of = {
            "study": winner.study,
            "data": winner.data.digest,
            "weights": winner.weights_sha256,
            "model": sha256_of(winner.model),
            "limits": self.limits.model_dump(),
            "int8": [self.int8, self.int8_margin],
            "sources": sources,
            "revisions": revisions_of("modules.deployment.bundle"),
        }
        return digest_of(made_of)[:_DIGITS]

    def _make(self, bundle: Path, winner: Winner, version: str, home: Path, say: Callable[[str], None]) -> None:
        model = bundle / "model.onnx"
        shutil.copyfile(winner.model, model)
        outputs = Outputs.read(winner.test_outputs)
        manifest = self._manifest(winner, version, model)
        if self.int8:
            int8 = quantise(model, bundle / "model.int8.onnx", home, winner.data, self.int8_margin)
            manifest = manifest.updated(int8=int8)
            say(f"int8 model {'kept' if int8.kept else 'left out'}: {int8.reason}")
        write_files(bundle, manifest, card_of(winner, manifest, outputs))
        arrays = open_arrays(home, winner.data)
        images = np.ascontiguousarray(arrays.images[arrays.indices("test")])
        manifest = manifest.updated(parity=check_parity(bundle, manifest.model, images, outputs.probabilities))
        write_described(bundle, manifest, card_of(winner, manifest, outputs))

    def _manifest(self, winner: Winner, version: str, model: Path) -> Manifest:
        channels, height, width = winner.data.image_shape
        shared = set(Manifest.model_fields) & set(Winner.model_fields) - {"model"}
        return Manifest(
            **{name: getattr(winner, name) for name in shared},
            model=winner.data.name,
            version=version,
            classes=winner.data.classes,
            image_shape=(height, width, channels),
            made_at=winner.finished_at,
            size_bytes=model.stat().st_size,
            gate=self.limits,
        )


def is_whole(folder: Path) -> bool:
    """Whether there is a bundle, with nothing of it missing or altered."""
    try:
        check_sums(folder)
    except StartError:
        return False
    return True


def _remove_leftovers(folder: Path) -> None:
    """What a kill left behind more than a day ago."""
    for path in folder.glob(f"{_MAKING}*"):
        if path.stat().st_mtime < time.time() - _LEFT_BEHIND_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _keep(making: Path, folder: Path) -> None:
    """Give a finished bundle its name; one that is damaged makes way."""
    for path in (*making.rglob("*"), making):
        disk.in_use.flush(path)
    os.chmod(making, 0o755)
    if folder.exists():
        damaged = Path(tempfile.mkdtemp(prefix=".damaged-", dir=folder.parent))
        disk.in_use.rename(folder, damaged / folder.name)
    disk.in_use.rename(making, folder)
    disk.in_use.flush(folder.parent)
