"""A bundle of the first network for MNIST, with made-up images and weights that mean nothing: for what costs time."""

from pathlib import Path

import numpy as np
import torch

from modules.architecture.module import build_module
from modules.architecture.start import first_architecture
from modules.deployment.bundle import Bundle
from modules.deployment.onnx_export import export_onnx
from modules.deployment.winner import Winner
from modules.digests import digest_of
from modules.evaluation.observing import observe
from modules.records import DataRecord

_PARTS = {"train": 600, "steer": 200, "confirm": 200, "test": 1000}
_SHAPE = (1, 28, 28)


def made_winner(home: Path, params: int = 60_000) -> Winner:
    """A winner whose data, outputs and model lie under `home`."""
    torch.manual_seed(0)
    data = _data(home)
    architecture = first_architecture(_SHAPE, 10, params, (0.2,), (0.3,))
    network = build_module(architecture)
    folder = home / "studies" / "made"
    folder.mkdir(parents=True)
    tensors = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    export_onnx(architecture, tensors, data.classes, folder / "model.onnx")
    arrays = [np.load(home / data.folder / f"{name}.npy") for name in ("images", "labels", "parts")]
    outputs = observe(network, arrays[0], arrays[1], np.flatnonzero(arrays[2] == 3))
    outputs.write(folder / "outputs.safetensors")
    return Winner(
        study="made",
        command="",
        finished_at=0.0,
        data=data,
        model=folder / "model.onnx",
        test_outputs=folder / "outputs.safetensors",
        recipe="0" * 32,
        weights_sha256="0" * 64,
        architecture="the first network",
        params=architecture.params,
        flops=architecture.flops,
        seed=0,
        val_error=1.0,
        test_error=outputs.error,
        latency_ms=0.0,
        seconds=0.0,
    )


def made_bundle(home: Path, int8: bool = False) -> Path:
    """Its bundle."""
    margins = {"int8_margin": 1.0, "margin": 0.0, "class_margin": 0.0, "calibration_margin": 0.0}
    target = Bundle(int8=int8, **margins, max_latency_ms=None, max_size_mb=None)
    return target.deploy(made_winner(home), home, print)


def _data(home: Path) -> DataRecord:
    random = np.random.default_rng(0)
    count = sum(_PARTS.values())
    folder = home / "store" / "data" / "made"
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", random.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8))
    np.save(folder / "labels.npy", random.integers(0, 10, count))
    np.save(folder / "parts.npy", np.repeat(np.arange(4, dtype=np.uint8), list(_PARTS.values())))
    np.save(folder / "identities.npy", np.arange(count, dtype=np.uint64))
    return DataRecord(
        name="mnist",
        digest=digest_of("made"),
        test_digest=digest_of("made test"),
        folder="store/data/made",
        classes=tuple("0123456789"),
        image_shape=_SHAPE,
        num_images=_PARTS,
        num_groups=_PARTS,
        mean=(0.2,),
        std=(0.3,),
    )
