"""A linear classifier on features, fitted to the end: softmax regression with an L2 penalty, which has one optimum."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

REVISION = 1

_ITERATIONS = 200
_TOLERANCE = 1e-6


class Head(NamedTuple):
    """Logits are `features @ weight.T + bias`: weight (classes, features), bias (classes)."""

    weight: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """Of features (N, features)."""
        return features @ self.weight.T + self.bias


def fit_heads(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    penalties: Sequence[float],
    class_weights: Tensor | None = None,
) -> list[Head]:
    """A head for each penalty, by L-BFGS (Liu and Nocedal 1989), the next one from where the last ended.

    `features` (N, features), of which each is standardised here, so that a penalty means the same for all; `labels`
    (N). A penalty is half the squared weights' factor beside the mean cross-entropy, in which images count as
    `class_weights` (classes) say, by their proportions. Give the largest first.
    """
    mean, std = features.mean(0), features.std(0, unbiased=False).clamp_min(1e-6)
    scaled = (features - mean) / std
    weight = torch.zeros(num_classes, features.shape[1], requires_grad=True)
    bias = torch.zeros(num_classes, requires_grad=True)
    heads = []
    for penalty in penalties:
        _minimise(scaled, labels, weight, bias, penalty, class_weights)
        unscaled = weight.detach() / std
        heads.append(Head(unscaled, bias.detach() - unscaled @ mean))
    return heads


def _minimise(
    features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor, penalty: float, class_weights: Tensor | None
) -> None:
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_ITERATIONS,
        tolerance_grad=_TOLERANCE,
        tolerance_change=1e-9,
        history_size=10,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        mean = nn.functional.cross_entropy(features @ weight.T + bias, labels, weight=class_weights)
        value = mean + penalty / 2 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
