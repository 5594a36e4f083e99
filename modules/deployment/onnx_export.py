"""The ONNX model of an architecture and its weights, written node by node: images as bytes in, probabilities out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from modules.architecture import description
from modules.architecture.description import IMAGE, Architecture, Node, Shape
from modules.architecture.resampling import resampling_matrix

REVISION = 1

OPSET = 20  # the first with Gelu
IR_VERSION = 10  # what runtimes of the same age read
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
    graph = _Graph(architecture.shapes(), tensors)
    for node in architecture.nodes:
        graph.add_node(node)
    graph.add("Softmax", OUTPUT, [graph.values[architecture.nodes[-1].name]], axis=-1)
    channels, height, width = architecture.image_shape
    model = helper.make_model(
        helper.make_graph(
            graph.operators,
            "espalier",
            [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", height, width, channels])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", architecture.num_classes])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="espalier",
    )
    helper.set_model_props(model, {"classes": json.dumps(list(classes))})
    return model


class _Graph:
    """Operators and constants, and under which name each node's output is found."""

    def __init__(self, shapes: Mapping[str, Shape], tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self.shapes = shapes
        self.tensors = tensors
        self.operators: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        pixels = self.add("Cast", "pixels", [INPUT], to=TensorProto.FLOAT)
        scaled = self.add("Div", "scaled", [pixels, self.constant("white", np.float32(255))])
        self.values = {IMAGE: self.add("Transpose", "planes", [scaled], perm=[0, 3, 1, 2])}

    def add(self, operator: str, output: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append an operator; returns its output's name."""
        self.operators.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: Any, dtype: type[np.generic] = np.float32) -> str:
        """Append a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=dtype), name))
        return name

    def weights(self, node: Node, *parameters: str) -> list[str]:
        """The node's tensors of these names, of those that it has."""
        names = [f"{node.name}.{parameter}" for parameter in parameters]
        return [self.constant(name, self.tensors[name]) for name in names if name in self.tensors]

    def add_node(self, node: Node) -> None:
        """Append what computes a node."""
        self.values[node.name] = self._output(node, [self.values[name] for name in node.inputs])

    def _output(self, node: Node, inputs: list[str]) -> str:
        name = node.name
        match node:
            case description.Standardise():
                mean = self.constant(f"{name}.mean", np.reshape(node.mean, (-1, 1, 1)))
                std = self.constant(f"{name}.std", np.reshape(node.std, (-1, 1, 1)))
                return self.add("Div", name, [self.add("Sub", f"{name}.centred", [*inputs, mean]), std])
            case description.Resize():
                return self._resize(node, inputs)
            case description.Pad():
                sides = [0, 0, node.before, node.before, 0, 0, node.after, node.after]
                return self.add("Pad", name, [*inputs, self.constant(f"{name}.sides", sides, np.int64)])
            case description.Conv():
                return self.add(
                    "Conv",
                    name,
                    inputs + self.weights(node, "weight", "bias"),
                    kernel_shape=[node.kernel] * 2,
                    strides=[node.stride] * 2,
                    pads=[node.padding] * 4,
                    group=node.groups,
                )
            case description.Norm():
                parameters = self.weights(node, "weight", "bias", "running_mean", "running_var")
                return self.add("BatchNormalization", name, inputs + parameters, epsilon=node.eps)
            case description.GroupNorm():
                return self._group_norm(node, inputs)
            case description.Activation():
                return self._activation(node, inputs)
            case description.MaxPool() | description.AvgPool():
                operator = "MaxPool" if isinstance(node, description.MaxPool) else "AveragePool"
                return self.add(operator, name, inputs, kernel_shape=[node.kernel] * 2, strides=[node.stride] * 2)
            case description.GlobalPool():
                operator = "GlobalMaxPool" if node.kind == "max" else "GlobalAveragePool"
                return self.add("Flatten", name, [self.add(operator, f"{name}.planes", inputs)])
            case description.Flatten():
                return self.add("Flatten", name, inputs)
            case description.Dense():
                return self.add("Gemm", name, inputs + self.weights(node, "weight", "bias"), transB=1)
            case description.Dropout():
                return inputs[0]
            case description.Add():
                return self.add("Add", name, inputs)

    def _resize(self, node: description.Resize, inputs: list[str]) -> str:
        """The products that the network computes: runtimes differ in how they filter."""
        name, (_, height, width) = node.name, self.shapes[node.inputs[0]]
        rows = self.constant(f"{name}.rows", resampling_matrix(height, node.height))
        columns = self.constant(f"{name}.columns", resampling_matrix(width, node.width).T)
        return self.add("MatMul", name, [self.add("MatMul", f"{name}.resized_rows", [rows, *inputs]), columns])

    def _group_norm(self, node: description.GroupNorm, inputs: list[str]) -> str:
        """Groups as the channels of an instance normalisation: an operator of its own came with a later opset."""
        name, shape = node.name, self.shapes[node.name]
        groups = shape[0] // node.group_size
        apart = self.constant(f"{name}.apart", [0, groups, -1], np.int64)  # 0: as many images as there are
        together = self.constant(f"{name}.together", [0, *shape], np.int64)
        neutral = [self.constant(f"{name}.ones", np.ones(groups)), self.constant(f"{name}.zeros", np.zeros(groups))]
        groups_apart = self.add("Reshape", f"{name}.groups", [*inputs, apart])
        normal = self.add("InstanceNormalization", f"{name}.normal", [groups_apart, *neutral], epsilon=node.eps)
        planes = self.add("Reshape", f"{name}.planes", [normal, together])
        weight, bias = (
            self.constant(f"{name}.{parameter}", self.tensors[f"{name}.{parameter}"].reshape(-1, 1, 1))
            for parameter in ("weight", "bias")
        )
        return self.add("Add", name, [self.add("Mul", f"{name}.scaled", [planes, weight]), bias])

    def _activation(self, node: description.Activation, inputs: list[str]) -> str:
        if node.kind == "silu":
            return self.add("Mul", node.name, [*inputs, self.add("Sigmoid", f"{node.name}.gate", inputs)])
        if node.kind == "relu6":
            limits = [self.constant(f"{node.name}.{name}", value) for name, value in (("least", 0), ("most", 6))]
            return self.add("Clip", node.name, [*inputs, *limits])
        return self.add({"relu": "Relu", "gelu": "Gelu"}[node.kind], node.name, inputs)
