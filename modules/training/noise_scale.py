"""The gradient's noise scale: how many images a batch may have before its gradient is hardly noise any more."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from modules.randomness import seed_for

REVISION = 1


def gradient_noise_scale(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], loss: Callable[[Tensor, Tensor], Tensor]
) -> float | None:
    """The simple noise scale tr(Σ)/|G|² in samples (McCandlish et al. 2018, arXiv 1812.06162, equation 2.9).

    Σ is the covariance of the gradients of single samples and G their mean; both are estimated without bias from the
    gradients of a few small batches (images, targets), of which `loss` gives the network's mean loss. In training
    mode, at fixed weights, and without a trace: weights, gradients, statistics and random state stay. None where the
    estimate of |G|² is not positive, or of fewer than two batches.
    """
    num_batches, num_samples, weighted_squares = 0, 0, 0.0
    weighted_sum = torch.zeros((), dtype=torch.float64)
    with _training_without_trace(network):
        for images, targets in batches:
            gradient = _gradient(network, loss(images, targets))
            num_batches += 1
            num_samples += len(images)
            weighted_sum = weighted_sum + len(images) * gradient
            weighted_squares += len(images) * float(gradient.square().sum())
    if num_batches < 2:
        return None
    # a batch of n samples has the covariance Σ/n, so that n|g|² - n|G|² is tr(Σ) on average
    square_of_mean = float((weighted_sum / num_samples).square().sum())
    covariance_trace = (weighted_squares - num_samples * square_of_mean) / (num_batches - 1)
    squared_norm = square_of_mean - covariance_trace / num_samples
    if not squared_norm > 0.0:
        return None
    noise_scale = max(0.0, covariance_trace) / squared_norm
    return noise_scale if math.isfinite(noise_scale) else None


def _gradient(network: nn.Module, loss: Tensor) -> Tensor:
    """In one float64 vector."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients]).cpu().double()


@contextmanager
def _training_without_trace(network: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in network.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    devices = {parameter.device for parameter in network.parameters() if parameter.is_cuda}
    with torch.random.fork_rng(devices=list(devices)), torch.enable_grad():
        torch.manual_seed(seed_for("noise scale"))  # dropout draws the same at every measurement
        network.train()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
            for buffer, before in buffers:
                buffer.copy_(before)
