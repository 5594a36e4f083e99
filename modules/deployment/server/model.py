"""The model: images as bytes in, the probability of each class out."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from .errors import StartError

INPUT, OUTPUT = "images", "probabilities"


class Model:
    """An ONNX model in a session of its own; `image_shape` is (height, width, channels)."""

    def __init__(self, path: Path, classes: list[str], threads: int = 1) -> None:
        if not path.is_file():
            raise StartError(f"there is no model {path}; allowed is one of the bundle's .onnx files")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # it would keep the memory of the largest batch ever seen
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.classes = classes
        _, height, width, channels = self._session.get_inputs()[0].shape
        self.image_shape: tuple[int, int, int] = (height, width, channels)
        self.seconds_an_image = self._measured()

    def probabilities(self, images: Any) -> Any:
        """float32 (N, classes) for uint8 (N, height, width, channels)."""
        return self._session.run([OUTPUT], {INPUT: images})[0]

    def _measured(self) -> float:
        """Seconds for one image, the least of some; the first calls also warm the session up."""
        image = np.zeros((1, *self.image_shape), dtype=np.uint8)
        taken = []
        for _ in range(5):
            start = time.perf_counter()
            self.probabilities(image)
            taken.append(time.perf_counter() - start)
        return min(taken)
