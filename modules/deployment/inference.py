"""Running an exported model, without torch."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from modules.deployment.onnx_export import INPUT, OUTPUT

_BATCH = 256


class ExportedModel:
    """An ONNX model of this program, in a session with a given number of threads."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.classes: tuple[str, ...] = tuple(json.loads(metadata["classes"]))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images it takes."""
        _, height, width, channels = self._session.get_inputs()[0].shape
        return height, width, channels

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability of each class (N, classes) for images (N, height, width, channels)."""
        batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
        empty = np.empty((0, len(self.classes)), dtype=np.float32)
        return np.concatenate([empty, *(self._session.run([OUTPUT], {INPUT: batch})[0] for batch in batches)])
