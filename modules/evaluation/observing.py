"""Running a network over images: per-image cross-entropies and probabilities, in float32."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from modules.evaluation.outputs import Outputs

REVISION = 1

_BATCH = 500


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


def observe(network: nn.Module, images: NDArray[Any], labels: NDArray[np.int64], indices: NDArray[np.int64]) -> Outputs:
    """Run the network in evaluation mode and float32 over the images at `indices`."""
    training = network.training
    network.eval()
    losses, probabilities = [], []
    with torch.inference_mode():
        for batch in batches_of(indices):
            logits = network(as_batch(images[batch])).float()
            truth = torch.from_numpy(labels[batch])
            losses.append(nn.functional.cross_entropy(logits, truth, reduction="none").numpy())
            probabilities.append(logits.softmax(dim=1).numpy())
    network.train(training)
    return Outputs(np.concatenate(losses), np.concatenate(probabilities), np.asarray(labels[indices]))
