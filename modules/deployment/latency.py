"""How long the exported model takes for one image."""

import statistics
import time
from pathlib import Path

import numpy as np

from modules.deployment.inference import ExportedModel

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
