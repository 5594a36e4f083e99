"""What the layers of a trained network do on some images: a few measures of each, cheap enough for every generation.

What is computed from products of channels looks at a grid of positions of each plane.
"""

import math

import torch
from torch import Tensor

from modules.architecture.description import Architecture
from modules.architecture.layers import Layer, layers_of
from modules.architecture.module import Network
from modules.evaluation.observing import device_of, fitting_batch
from modules.records import LayerMeasures

REVISION = 2  # 2: without the gradient's norm

_MOST_POSITIONS = 16  # of a plane
_SILENT = 0.02  # a channel that varies less than this part of its layer's mean deviation says next to nothing
_DUPLICATE = 0.95  # a channel whose correlation with another one is above this in size says little that is new


def fitting_images(architecture: Architecture) -> int:
    """How many images the layers can be measured on at once."""
    return fitting_batch(sum(math.prod(shape) for shape in architecture.shapes().values()))


def measure_layers(network: Network, images: Tensor) -> tuple[LayerMeasures, ...]:
    """The measures of each layer on images (N, C, H, W) in [0, 1]; the network is left in evaluation mode."""
    network.eval()
    with torch.inference_mode():
        # not every accelerator has float64
        outputs = {name: values.cpu() for name, values in network.outputs(images.to(device_of(network))).items()}
        return tuple(_measures(layer, outputs) for layer in layers_of(network.architecture))


def _measures(layer: Layer, outputs: dict[str, Tensor]) -> LayerMeasures:
    values = outputs[layer.output]
    before = outputs[layer.source] if layer.source is not None else None
    after = outputs[layer.compared]
    silent, seen = silent_channels(values), channel_values(values)
    return LayerMeasures(
        node=layer.node,
        output=layer.output,
        channels=len(silent),
        silent=float(silent.double().mean()),
        duplicated=float(duplicated_channels(seen, silent).double().mean()),
        effective_rank=effective_rank(seen),
        full_rank=max(1, min(seen.shape[1], len(seen) - 1)),
        similarity=linear_cka(before, after) if before is not None else 0.0,
        agreement=agreement(before, after) if before is not None and before.shape == after.shape else None,
    )


def channel_values(values: Tensor) -> Tensor:
    """(images x positions of the grid, channels), around each channel's mean, in double precision."""
    rows = _on_grid(values).double().transpose(0, 1).flatten(1).T
    return rows - rows.mean(dim=0)


def _on_grid(values: Tensor) -> Tensor:
    """(N, C) as it is; of (N, C, H, W) every few rows and columns."""
    if values.ndim == 2:
        return values
    step = max(1, math.ceil(math.sqrt(values.shape[2] * values.shape[3] / _MOST_POSITIONS)))
    first = [min(step // 2, side - 1) for side in values.shape[2:]]
    return values[:, :, first[0] :: step, first[1] :: step]


def silent_channels(values: Tensor) -> Tensor:
    """Whether each channel of an output (N, C, …) hardly varies over images and positions."""
    deviations = values.transpose(0, 1).flatten(1).std(dim=1)
    return deviations <= _SILENT * deviations.mean()


def duplicated_channels(seen: Tensor, silent: Tensor) -> Tensor:
    """Whether each channel follows an earlier one that is counted as none: of two alike one is a duplicate."""
    norms = seen.norm(dim=0)
    correlations = (seen.T @ seen / torch.outer(norms, norms).clamp(min=torch.finfo(seen.dtype).tiny)).abs()
    duplicated = torch.zeros_like(silent)
    for channel in range(len(silent)):
        others = ~silent[:channel] & ~duplicated[:channel]
        duplicated[channel] = not silent[channel] and bool((correlations[channel, :channel][others] > _DUPLICATE).any())
    return duplicated


def effective_rank(seen: Tensor) -> float:
    """exp of the entropy of the covariance's normalised eigenvalues, from 1 to the channels; 0 where nothing varies."""
    eigenvalues = torch.linalg.eigvalsh(seen.T @ seen).clamp(min=0)
    total = eigenvalues.sum()
    if total == 0:
        return 0.0
    shares = eigenvalues / total
    return float(torch.special.entr(shares).sum().exp())


def linear_cka(before: Tensor, after: Tensor) -> float:
    """How alike two outputs (N, …) tell images apart, from 0 to 1, whatever their shapes; 0 where one never differs."""
    grams = []
    for values in (before, after):
        rows = _on_grid(values).double().flatten(1)
        rows = rows - rows.mean(dim=0)
        grams.append(rows @ rows.T)
    scale = float(grams[0].norm() * grams[1].norm())
    return float((grams[0] * grams[1]).sum()) / scale if scale else 0.0


def agreement(before: Tensor, after: Tensor) -> float:
    """The cosine of two outputs of one shape around the mean of each channel: 1 where a layer leaves what it gets."""
    first, second = channel_values(before), channel_values(after)
    scale = float(first.norm() * second.norm())
    return float((first * second).sum()) / scale if scale else 0.0
