"""Random small architectures, weights and states for property tests."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from modules.architecture import nodes
from modules.architecture.description import IMAGE, Architecture
from modules.architecture.initialisation.kaiming import Kaiming
from modules.architecture.module import Network, build_module, initial_tensors
from modules.architecture.nodes import Node, Shape
from modules.recipe import Recipe
from modules.records import Part


class _Sketch:
    """Nodes appended one after another; knows the current shape."""

    def __init__(self, image_shape: Shape) -> None:
        self.image_shape = image_shape
        self.nodes: list[Node] = []
        self.shapes = {IMAGE: image_shape}
        self.last = IMAGE

    @property
    def shape(self) -> Shape:
        return self.shapes[self.last]

    def put(self, make: Any, *inputs: str, **fields: Any) -> None:
        name = f"{make.__name__.lower()}{len(self.nodes)}"
        node = make(name=name, inputs=inputs or (self.last,), **fields)
        self.shapes[name] = node.output_shape(*(self.shapes[one] for one in node.inputs))
        self.nodes.append(node)
        self.last = name


_KINDS = st.sampled_from(["relu", "gelu", "silu", "relu6"])


def _put_conv(draw: st.DrawFn, sketch: _Sketch) -> None:
    channels = sketch.shape[0]
    groups = draw(st.sampled_from(sorted({1, channels, 2 if channels % 2 == 0 else 1})))
    side = min(sketch.shape[1:])
    sketch.put(
        nodes.Conv,
        channels=groups * draw(st.integers(1, max(1, 8 // groups))) if draw(st.booleans()) else channels,
        kernel=draw(st.integers(1, min(3, side))),
        stride=draw(st.integers(1, 2)),
        padding=draw(st.integers(0, 1)),
        groups=groups,
        bias=draw(st.booleans()),
    )


def _put_group_norm(draw: st.DrawFn, sketch: _Sketch) -> None:
    channels, height, width = sketch.shape
    sizes = [size for size in range(1, channels + 1) if channels % size == 0 and size * height * width >= 8]
    if sizes:
        sketch.put(nodes.GroupNorm, group_size=draw(st.sampled_from(sizes)))


def _put_residual(draw: st.DrawFn, sketch: _Sketch) -> None:
    skip, is_image = sketch.last, len(sketch.shape) == 3
    for _ in range(draw(st.integers(1, 2))):
        size, bias = sketch.shape[0], draw(st.booleans())
        if is_image:
            groups = draw(st.sampled_from([1, size]))
            sketch.put(nodes.Conv, channels=size, kernel=3, padding=1, groups=groups, bias=bias)
        else:
            sketch.put(nodes.Dense, units=size, bias=bias)
        for follower in draw(st.permutations([nodes.Norm, nodes.Activation]))[: draw(st.integers(0, 2))]:
            sketch.put(follower)
    sketch.put(nodes.Add, *draw(st.permutations([skip, sketch.last])))


def _put_pool(draw: st.DrawFn, sketch: _Sketch) -> None:
    kernel = min(2, *sketch.shape[1:])
    sketch.put(draw(st.sampled_from([nodes.MaxPool, nodes.AvgPool])), kernel=kernel, stride=kernel)


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    channels, classes = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    sketch = _Sketch((channels, draw(st.integers(4, 8)), draw(st.integers(4, 8))))
    if draw(st.booleans()):
        sketch.put(nodes.Standardise, mean=(0.3,) * channels, std=(0.5,) * channels)
    if draw(st.integers(0, 3)) == 0:
        sketch.put(nodes.Resize, height=draw(st.integers(4, 10)), width=draw(st.integers(4, 10)))
    for step in draw(st.lists(st.sampled_from("cccnnaaprdgz"), max_size=7)):
        _put(draw, sketch, step)
    if draw(st.booleans()):
        sketch.put(nodes.Flatten)
    else:
        sketch.put(nodes.GlobalPool, kind=draw(st.sampled_from(["max", "avg"])))
    for step in draw(st.lists(st.sampled_from("uunard"), max_size=4)):
        _put(draw, sketch, step)
    sketch.put(nodes.Dense, units=classes, bias=draw(st.booleans()))
    return Architecture(image_shape=sketch.image_shape, num_classes=classes, nodes=tuple(sketch.nodes))


def _put(draw: st.DrawFn, sketch: _Sketch, step: str) -> None:
    match step:
        case "c":
            _put_conv(draw, sketch)
        case "n":
            sketch.put(nodes.Norm)
        case "g":
            _put_group_norm(draw, sketch)
        case "a":
            sketch.put(nodes.Activation, kind=draw(_KINDS))
        case "p":
            _put_pool(draw, sketch)
        case "r":
            _put_residual(draw, sketch)
        case "z":
            sketch.put(nodes.Pad, before=draw(st.integers(0, 1)), after=draw(st.integers(0, 2)))
        case "d":
            sketch.put(nodes.Dropout, rate=0.25)
        case "u":
            sketch.put(nodes.Dense, units=draw(st.integers(1, 6)), bias=draw(st.booleans()))


def random_weights(architecture: Architecture, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights as after some training: no vector is neutral."""
    generator = np.random.default_rng(seed)
    tensors = initial_tensors(architecture, Kaiming(), seed)
    return {
        name: values if values.ndim > 1 else values + generator.uniform(-0.4, 0.6, values.shape).astype(np.float32)
        for name, values in tensors.items()
    }


def as_tensors(weights: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(values)) for name, values in weights.items()}


def random_network(architecture: Architecture, seed: int = 0) -> Network:
    network = build_module(architecture)
    network.load_state_dict(as_tensors(random_weights(architecture, seed)))
    return network.eval()


def random_images(architecture: Architecture, number: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.rand(number, *architecture.image_shape, generator=torch.Generator().manual_seed(seed))


def random_state(architecture: Architecture, seed: int = 0) -> dict[str, torch.Tensor]:
    """Raw weights a little away from the averaged ones, and two moments and a count of steps."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, values in as_tensors(random_weights(architecture, seed)).items():
        state[f"ema.{name}"] = values
        state[f"model.{name}"] = values + 0.01 * torch.rand(values.shape, generator=generator)
        if architecture.tensors()[name].trainable:
            state[f"optimizer.exp_avg.{name}"] = torch.rand(values.shape, generator=generator)
            state[f"optimizer.exp_avg_sq.{name}"] = torch.rand(values.shape, generator=generator)
            state[f"optimizer.step.{name}"] = torch.tensor(7.0)
    return state


def recipe_of(architecture: Architecture) -> Recipe:
    part = Part(target="nothing.at.all")
    return Recipe(
        architecture=architecture,
        initialisation=part,
        optimizer=part,
        schedule=part,
        selection=part,
        learning_rate=0.1,
        batch_size=8,
    )
