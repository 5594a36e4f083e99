"""What frozen nodes make of images, computed as fast as this machine can.

On a processor that is onnxruntime: with depthwise convolutions it is up to twice as fast as torch (LOG.md). On a GPU it
is torch.
"""

from collections.abc import Callable

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor

from modules.architecture.description import IMAGE
from modules.architecture.folding import folded
from modules.architecture.module import Network
from modules.architecture.onnx_graph import OnnxGraph
from modules.records import Numerics

REVISION = 1

Features = NDArray[np.float16]


def frozen_nodes(network: Network, cut: str, numerics: Numerics) -> Callable[[Tensor], Features]:
    """A function from images (N, channels, height, width) to what the nodes up to `cut` give in evaluation mode."""
    trunk, places = folded(network, cut)
    cut = places.get(cut, cut)
    if numerics.device == "cpu":
        return _on_processor(trunk, cut, numerics.threads)
    return _on_accelerator(trunk, cut, numerics)


def _on_processor(trunk: Network, cut: str, threads: int) -> Callable[[Tensor], Features]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_exported(trunk, cut), options, providers=["CPUExecutionProvider"])

    def compute(images: Tensor) -> Features:
        (values,) = session.run(None, {IMAGE: images.contiguous().numpy()})
        features: Features = values.astype(np.float16)
        return features

    return compute


def _exported(trunk: Network, cut: str) -> bytes:
    shapes = trunk.architecture.shapes()
    graph = OnnxGraph(shapes, {name: tensor.numpy() for name, tensor in trunk.state_dict().items()})
    graph.values[IMAGE] = IMAGE
    for node in trunk.architecture.nodes:
        graph.add_node(node)
        if node.name == cut:
            break
    images = helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, ["N", *trunk.architecture.image_shape])
    output = helper.make_tensor_value_info(graph.values[cut], TensorProto.FLOAT, ["N", *shapes[cut]])
    model: bytes = graph.model(images, output).SerializeToString()
    return model


def _on_accelerator(trunk: Network, cut: str, numerics: Numerics) -> Callable[[Tensor], Features]:
    trunk = trunk.to(numerics.device)
    low = numerics.precision == "bfloat16"

    def compute(images: Tensor) -> Features:
        with torch.inference_mode(), torch.autocast(numerics.device, torch.bfloat16, enabled=low):
            values = trunk.until(cut, images.to(numerics.device))
        features: Features = values.to("cpu", torch.float16).contiguous().numpy()
        return features

    return compute
