"""The network that an architecture describes, and the weights it starts with."""

from collections.abc import Callable, Sequence
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from modules.architecture import nodes
from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import Activation, GlobalPool, MaxPool, Node, Norm, Shape, neutral_value
from modules.architecture.resampling import resampling_matrix

REVISION = 2


class Network(nn.Module):
    """Computes an architecture's nodes. Its state's tensors are called `<node>.<parameter>`."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.frozen: frozenset[str] = frozenset()  # names of nodes that are not trained
        self.keeps_statistics = False  # whether normalisations go by theirs also while training
        self._quickest = with_late_rectifiers(architecture)
        for node in architecture.nodes:
            self.add_module(node.name, _module(node, architecture.input_shape(node.name)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W) in [0, 1]."""
        return self._passed(self._quickest.nodes, IMAGE, images)

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """What every node gives, by name; the image too."""
        values = {IMAGE: images}
        for node in self.architecture.nodes:
            values[node.name] = self._output(node, values)
        return values

    def until(self, name: str, images: Tensor) -> Tensor:
        """What a node gives, without those that it does not need."""
        needed = self.architecture.upstream(name)
        return self._passed([node for node in self.architecture.nodes if node.name in needed], IMAGE, images)

    def after(self, cut: str, values: Tensor) -> Tensor:
        """Logits from what a node gave through which everything goes: one of `Architecture.cuts`."""
        names = [node.name for node in self.architecture.nodes]
        return self._passed(self.architecture.nodes[1 + names.index(cut) :], cut, values)

    def freeze(self, until: str) -> None:
        """Train none of what leads to the output of a node: weights and statistics stay as they are."""
        self.frozen = self.architecture.upstream(until)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.partition(".")[0] not in self.frozen)
        self.train(self.training)

    def keep_statistics(self) -> None:
        """Normalise by the statistics that are there, also while training; scales and shifts are trained."""
        self.keeps_statistics = True
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As every module's, but frozen nodes and statistics that are kept go on as when they are evaluated."""
        super().train(mode)
        norms = [node.name for node in self.architecture.nodes if self.keeps_statistics and isinstance(node, Norm)]
        for module in (*self.frozen_modules(), *map(self.get_submodule, norms)):
            module.eval()
        return self

    def frozen_modules(self) -> list[nn.Module]:
        """Those of the frozen nodes."""
        return [self.get_submodule(name) for name in sorted(self.frozen - {IMAGE})]

    def _passed(self, steps: Sequence[Node], source: str, values: Tensor) -> Tensor:
        """What the last of `steps` makes of what `source` gives.

        Each output is let go of behind its last reader; what gradients need of it, autograd keeps.
        """
        last = {name: number for number, node in enumerate(steps) for name in node.inputs}
        live = {source: values}
        for number, node in enumerate(steps):
            values = self._output(node, live)
            live = {name: value for name, value in live.items() if last[name] > number}
            live[node.name] = values
        return values

    def _output(self, node: Node, values: dict[str, Tensor]) -> Tensor:
        module = self._modules[node.name]
        assert module is not None
        output: Tensor = module(*(values[name] for name in node.inputs))
        return output


def with_late_rectifiers(architecture: Architecture) -> Architecture:
    """The same function, to the same bits, with ReLU behind the maximum that alone reads it: less to rectify."""
    for rectifier in architecture.nodes:
        readers = architecture.readers(rectifier.name)
        if not isinstance(rectifier, Activation) or rectifier.kind != "relu" or len(readers) != 1:
            continue
        if isinstance(readers[0], MaxPool) or (isinstance(readers[0], GlobalPool) and readers[0].kind == "max"):
            without = architecture.without({rectifier.name: rectifier.inputs[0]})
            late = rectifier.updated(inputs=(readers[0].name,))
            return with_late_rectifiers(without.inserted_after(readers[0].name, [late]))
    return architecture


def build_module(architecture: Architecture) -> Network:
    """The network, with weights that are yet to be loaded."""
    return Network(architecture)


class _Standardise(nn.Module):
    mean: Tensor
    std: Tensor

    def __init__(self, node: nodes.Standardise) -> None:
        super().__init__()
        # the numbers are the architecture's, not the state's
        self.register_buffer("mean", torch.tensor(node.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(node.std).view(-1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class _Resize(nn.Module):
    """Two small products: on a processor ten times as fast as torch's interpolation of three channels."""

    rows: Tensor
    columns: Tensor

    def __init__(self, node: nodes.Resize, shape: Shape) -> None:
        super().__init__()
        rows, columns = resampling_matrix(shape[1], node.height), resampling_matrix(shape[2], node.width).T
        self.register_buffer("rows", torch.from_numpy(rows).float(), persistent=False)
        self.register_buffer("columns", torch.from_numpy(columns).float().contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # pixels keep their 8 bits
            return self.rows @ x.float().contiguous() @ self.columns


class _Norm(nn.Module):
    """Batch normalisation for images and features alike, without the count of batches that nobody reads."""

    momentum = 0.1
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.running_mean, self.running_var
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.training, self.momentum, self.eps)


class _Function(nn.Module):
    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def _global_max(x: Tensor) -> Tensor:
    return x.amax((2, 3))


def _global_mean(x: Tensor) -> Tensor:
    return x.mean((2, 3))


_ACTIVATIONS: dict[str, Callable[..., Tensor]] = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu, "relu6": F.relu6}


def _module(node: Node, shape: Shape) -> nn.Module:
    match node:
        case nodes.Standardise():
            return _Standardise(node)
        case nodes.Resize():
            return _Resize(node, shape)
        case nodes.Pad():
            return nn.ZeroPad2d((node.before, node.after, node.before, node.after))
        case nodes.Conv():
            return nn.Conv2d(
                shape[0], node.channels, node.kernel, node.stride, node.padding, groups=node.groups, bias=node.bias
            )
        case nodes.Norm():
            return _Norm(shape[0], node.eps)
        case nodes.GroupNorm():
            return nn.GroupNorm(shape[0] // node.group_size, shape[0], node.eps)
        case nodes.Activation():
            return _Function(_ACTIVATIONS[node.kind])
        case nodes.MaxPool():
            return nn.MaxPool2d(node.kernel, node.stride)
        case nodes.AvgPool():
            return nn.AvgPool2d(node.kernel, node.stride)
        case nodes.GlobalPool():
            return _Function(_global_max if node.kind == "max" else _global_mean)
        case nodes.Flatten():
            return nn.Flatten()
        case nodes.Dense():
            return nn.Linear(shape[0], node.units, bias=node.bias)
        case nodes.Dropout():
            return nn.Dropout(node.rate)
        case nodes.Add():
            return _Function(torch.add)


class Initialiser(Protocol):
    """Draws the weights of a convolution or a dense layer."""

    def draw(self, shape: Shape, seed: int, tensor: str) -> NDArray[np.float64]:
        """Weights (outputs, inputs, …) that depend on the seed and on the tensor's name alone."""


def initial_tensors(architecture: Architecture, initialiser: Initialiser, seed: int) -> dict[str, NDArray[np.float32]]:
    """Every tensor of the state: weights drawn, biases 0, normalisations neutral."""
    return {
        name: _initial(name, spec.shape, initialiser, seed).astype(np.float32)
        for name, spec in architecture.tensors().items()
    }


def _initial(name: str, shape: Shape, initialiser: Initialiser, seed: int) -> NDArray[np.float64]:
    if len(shape) > 1:
        return initialiser.draw(shape, seed, name)
    return np.full(shape, neutral_value(name))
