"""One update of a tiny network, as both tests of an optimiser's state take it."""

import torch
from torch import nn


def step(network: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
    """On images of their own for each number."""
    generator = torch.Generator().manual_seed(number)
    images, labels = torch.rand(6, 1, 8, 8, generator=generator), torch.randint(0, 3, (6,), generator=generator)
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(network(images), labels).backward()
    optimizer.step()
