"""Who is mixed with whom, and in which shares: what the ways of mixing have in common."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaincinv
from torch import Tensor

from modules.augmentation.draws import Draws

REVISION = 1


def partners(draws: Draws) -> Tensor:
    """For each image of a batch the index of another: the next one in a random circle through all of them."""
    circle = np.argsort(draws.uniform("partner"), kind="stable")
    chosen = np.empty_like(circle)
    chosen[circle] = np.roll(circle, -1)
    return torch.from_numpy(chosen)


def symmetric_beta(draws: Draws, alpha: float) -> NDArray[np.float64]:
    """For each image a number of Beta(alpha, alpha), by its quantile function."""
    numbers: NDArray[np.float64] = betaincinv(alpha, alpha, draws.uniform("beta"))
    return numbers


def mix(ours: Tensor, theirs: Tensor, shares: NDArray[np.float64]) -> Tensor:
    """A share of ours and the rest of theirs, row by row."""
    weights = torch.from_numpy(shares.astype(np.float32)).view(-1, *[1] * (ours.ndim - 1))
    return torch.lerp(theirs, ours, weights)
