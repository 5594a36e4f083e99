"""Running a network over images: per-image cross-entropies and probabilities, in float32."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from modules.architecture.module import Network
from modules.evaluation.outputs import Outputs

REVISION = 2  # 2: of large planes fewer at once

_BATCH = 500
_SMALLEST_BATCH = 32
_MOST_VALUES = 64_000_000  # of a batch at once: 256 MB


def as_batch(images: NDArray[Any]) -> Tensor:
    """uint8 N x H x W x C to float32 N x C x H x W in [0, 1]; in memory it stays channels-last.

    What frozen nodes made of images (float16, N x features or N x C x H x W) is passed on as it is.
    """
    if images.dtype == np.float16:
        return torch.from_numpy(images).float()
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255.0)


def batches_of(indices: NDArray[np.int64], size: int = _BATCH) -> Iterator[NDArray[np.int64]]:
    """Consecutive pieces of `indices` of at most `size`."""
    for first in range(0, len(indices), size):
        yield indices[first : first + size]


def fitting_batch(values: int) -> int:
    """How many images may be looked at together, where so many values of each are held at once."""
    return min(_BATCH, max(_SMALLEST_BATCH, _MOST_VALUES // values))


def batch_size_for(network: nn.Module) -> int:
    """How many images a network may be shown together where no gradients are needed."""
    described = [part.architecture for part in network.modules() if isinstance(part, Network)]
    return min((fitting_batch(each.live_values()) for each in described), default=_BATCH)


def device_of(network: nn.Module) -> torch.device:
    """Where its parameters are, and its images have to be."""
    return next(network.parameters()).device


def observe(network: nn.Module, images: NDArray[Any], labels: NDArray[np.int64], indices: NDArray[np.int64]) -> Outputs:
    """Run the network in evaluation mode and float32, where it is, over the images at `indices`."""
    training, device = network.training, device_of(network)
    network.eval()
    losses, probabilities = [], []
    with torch.inference_mode():
        for batch in batches_of(indices, batch_size_for(network)):
            logits = network(as_batch(images[batch]).to(device)).float()
            truth = torch.from_numpy(labels[batch]).to(device)
            losses.append(nn.functional.cross_entropy(logits, truth, reduction="none").cpu().numpy())
            probabilities.append(logits.softmax(dim=1).cpu().numpy())
    network.train(training)
    return Outputs(np.concatenate(losses), np.concatenate(probabilities), np.asarray(labels[indices]))
