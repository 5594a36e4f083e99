"""An architecture and its weights as an ONNX graph, written node by node."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from modules.architecture import nodes
from modules.architecture.nodes import Node, Shape
from modules.architecture.resampling import resampling_matrix

REVISION = 1

OPSET = 20  # the first with Gelu
IR_VERSION = 10  # what runtimes of the same age read


class OnnxGraph:
    """Operators and constants, and under which name each node's output is found.

    Where the image is found has to be said in `values` before nodes are added.
    """

    def __init__(self, shapes: Mapping[str, Shape], tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self.shapes = shapes
        self.tensors = tensors
        self.operators: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.values: dict[str, str] = {}

    def model(self, images: onnx.ValueInfoProto, output: onnx.ValueInfoProto) -> onnx.ModelProto:
        """All of it, from an input to an output of these names."""
        return helper.make_model(
            helper.make_graph(self.operators, "espalier", [images], [output], self.constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="espalier",
        )

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
            case nodes.Standardise():
                mean = self.constant(f"{name}.mean", np.reshape(node.mean, (-1, 1, 1)))
                std = self.constant(f"{name}.std", np.reshape(node.std, (-1, 1, 1)))
                return self.add("Div", name, [self.add("Sub", f"{name}.centred", [*inputs, mean]), std])
            case nodes.Resize():
                return self._resize(node, inputs)
            case nodes.Pad():
                sides = [0, 0, node.before, node.before, 0, 0, node.after, node.after]
                return self.add("Pad", name, [*inputs, self.constant(f"{name}.sides", sides, np.int64)])
            case nodes.Conv():
                return self.add(
                    "Conv",
                    name,
                    inputs + self.weights(node, "weight", "bias"),
                    kernel_shape=[node.kernel] * 2,
                    strides=[node.stride] * 2,
                    pads=[node.padding] * 4,
                    group=node.groups,
                )
            case nodes.Norm():
                parameters = self.weights(node, "weight", "bias", "running_mean", "running_var")
                return self.add("BatchNormalization", name, inputs + parameters, epsilon=node.eps)
            case nodes.GroupNorm():
                return self._group_norm(node, inputs)
            case nodes.Activation():
                return self._activation(node, inputs)
            case nodes.MaxPool() | nodes.AvgPool():
                operator = "MaxPool" if isinstance(node, nodes.MaxPool) else "AveragePool"
                return self.add(operator, name, inputs, kernel_shape=[node.kernel] * 2, strides=[node.stride] * 2)
            case nodes.GlobalPool():
                operator = "GlobalMaxPool" if node.kind == "max" else "GlobalAveragePool"
                return self.add("Flatten", name, [self.add(operator, f"{name}.planes", inputs)])
            case nodes.Flatten():
                return self.add("Flatten", name, inputs)
            case nodes.Dense():
                return self.add("Gemm", name, inputs + self.weights(node, "weight", "bias"), transB=1)
            case nodes.Dropout():
                return inputs[0]
            case nodes.Add():
                return self.add("Add", name, inputs)

    def _resize(self, node: nodes.Resize, inputs: list[str]) -> str:
        """The products that the network computes: runtimes differ in how they filter."""
        name, (_, height, width) = node.name, self.shapes[node.inputs[0]]
        rows = self.constant(f"{name}.rows", resampling_matrix(height, node.height))
        columns = self.constant(f"{name}.columns", resampling_matrix(width, node.width).T)
        return self.add("MatMul", name, [self.add("MatMul", f"{name}.resized_rows", [rows, *inputs]), columns])

    def _group_norm(self, node: nodes.GroupNorm, inputs: list[str]) -> str:
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

    def _activation(self, node: nodes.Activation, inputs: list[str]) -> str:
        if node.kind == "silu":
            return self.add("Mul", node.name, [*inputs, self.add("Sigmoid", f"{node.name}.gate", inputs)])
        if node.kind == "relu6":
            limits = [self.constant(f"{node.name}.{name}", value) for name, value in (("least", 0), ("most", 6))]
            return self.add("Clip", node.name, [*inputs, *limits])
        return self.add({"relu": "Relu", "gelu": "Gelu"}[node.kind], node.name, inputs)
