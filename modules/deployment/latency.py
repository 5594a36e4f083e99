"""How long the exported model takes for one image."""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from modules.architecture.description import Architecture
from modules.deployment.inference import ExportedModel
from modules.deployment.onnx_export import export_onnx
from modules.store import Store
from modules.workers.jobs import Report, job

REVISION = 1

_WARM_UP = 20
_CALLS = 200


def measure_latency_ms(path: Path) -> float:
    """Milliseconds for one image on one thread: the median of many calls."""
    model = ExportedModel(path, threads=1)
    image = np.full((1, *model.image_shape), 127, dtype=np.uint8)
    times = []
    for _ in range(_WARM_UP + _CALLS):
        start = time.perf_counter()
        model.probabilities(image)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[_WARM_UP:])


@job
def measure_architecture(architecture: dict[str, Any], key: str, home: str, report: Report) -> dict[str, Any]:
    """The latency of an architecture, whose weights do not matter for it; stored as `latencies/<key>`."""
    described = Architecture.model_validate(architecture)
    tensors = {name: np.ones(spec.shape, dtype=np.float32) for name, spec in described.tensors().items()}
    classes = [str(number) for number in range(described.num_classes)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(described, tensors, classes, path)
        record = {"latency_ms": measure_latency_ms(path)}
    Store(Path(home) / "store").put("latencies", key, record)
    return record
