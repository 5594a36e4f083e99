"""The ONNX model of an architecture and its weights: images as bytes in, probabilities out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.onnx_graph import OnnxGraph

REVISION = 1

INPUT = "images"
OUTPUT = "probabilities"


def export_onnx(
    architecture: Architecture, tensors: Mapping[str, NDArray[np.float32]], classes: Sequence[str], path: Path
) -> None:
    """Write the model: `images` uint8 (N, height, width, channels) to `probabilities` float32 (N, classes)."""
    model = onnx_model(architecture, tensors, classes)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def onnx_model(
    architecture: Architecture, tensors: Mapping[str, NDArray[np.float32]], classes: Sequence[str]
) -> onnx.ModelProto:
    """The model; the names of the classes are in its metadata, as JSON."""
    channels, height, width = architecture.image_shape
    graph = OnnxGraph(architecture.shapes(), tensors)
    pixels = graph.add("Cast", "pixels", [INPUT], to=TensorProto.FLOAT)
    scaled = graph.add("Div", "scaled", [pixels, graph.constant("white", np.float32(255))])
    graph.values[IMAGE] = graph.add("Transpose", "planes", [scaled], perm=[0, 3, 1, 2])
    for node in architecture.nodes:
        graph.add_node(node)
    graph.add("Softmax", OUTPUT, [graph.values[architecture.nodes[-1].name]], axis=-1)
    model = graph.model(
        helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", height, width, channels]),
        helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", architecture.num_classes]),
    )
    helper.set_model_props(model, {"classes": json.dumps(list(classes))})
    return model
