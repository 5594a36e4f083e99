"""The int8 form of an exported model: smaller, faster on some machines, and measured for what it loses."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modules.data.arrays import open_arrays
from modules.deployment.inference import ExportedModel
from modules.deployment.latency import measure_latency_ms
from modules.deployment.manifest import Int8
from modules.deployment.onnx_export import INPUT
from modules.evaluation.outputs import cross_entropies
from modules.records import DataRecord

REVISION = 2  # 2: an activation that cuts off is part of the range of what comes before it

_CALIBRATION_IMAGES = 256
_BATCH = 64
_SUMS = ("Conv", "Gemm", "Add", "MaxPool", "AveragePool", "GlobalAveragePool")
_CUTS = ("Relu", "Clip")  # named, they go into the layer before: its 256 steps are for what is left of its output
_WORTH = 0.9  # of the size or the latency: less is not worth a second model


def quantise(model: Path, path: Path, home: Path, data: DataRecord, margin: float) -> Int8:
    """Write the int8 form of `model` to `path` and measure it; the file is gone where it is not worth keeping.

    Activations are calibrated on training images. What it loses is seen on *confirm*; on the test images only whether
    it gives the same class, which needs no labels.
    """
    arrays = open_arrays(home, data)
    train, confirm, test = (arrays.indices(part) for part in ("train", "confirm", "test"))
    _write(model, path, arrays.images[train[:: max(1, len(train) // _CALIBRATION_IMAGES)]][:_CALIBRATION_IMAGES])
    full, small = ExportedModel(model), ExportedModel(path)
    labels = arrays.labels[confirm]
    before, after = (each.probabilities(arrays.images[confirm]) for each in (full, small))
    agreed = [each.probabilities(arrays.images[test]).argmax(1) for each in (full, small)]
    measured = {
        "size_bytes": path.stat().st_size,
        "latency_ms": measure_latency_ms(path),
        "error_rise": _error(after, labels) - _error(before, labels),
        "loss_rise": _loss(after, labels) - _loss(before, labels),
        "agreement": float(np.mean(agreed[0] == agreed[1])),
    }
    size_share = path.stat().st_size / model.stat().st_size
    latency_share = measured["latency_ms"] / measure_latency_ms(model)
    kept, reason = _verdict(size_share, latency_share, measured["error_rise"], margin)
    if not kept:
        path.unlink()
    return Int8.model_validate({"kept": kept, "reason": reason, **measured})


def _verdict(size_share: float, latency_share: float, error_rise: float, margin: float) -> tuple[bool, str]:
    shares = f"{size_share:.0%} of the size and {latency_share:.0%} of the latency"
    if error_rise > margin:
        return False, f"its error on confirm is {error_rise:.2%} higher; allowed is {margin:.2%}"
    if min(size_share, latency_share) > _WORTH:
        return False, f"it has {shares}, which is not worth it"
    return True, f"it has {shares}; its error on confirm is {error_rise:+.2%}"


def _write(model: Path, path: Path, images: NDArray[np.uint8]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        """The calibration images in batches."""

        def __init__(self) -> None:
            starts = range(0, len(images), _BATCH)
            self._batches: Iterator[Any] = iter([{INPUT: images[start : start + _BATCH]} for start in starts])

        def get_next(self) -> Any:
            return next(self._batches, None)

    root = logging.getLogger()  # onnxruntime's tools speak to it directly
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as folder:
            prepared = Path(folder) / "prepared.onnx"
            quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(path),
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=[*_SUMS, *_CUTS],
            )
    finally:
        root.setLevel(level)


def _error(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return float(np.mean(probabilities.argmax(1) != labels))


def _loss(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return float(cross_entropies(probabilities, labels).mean())
