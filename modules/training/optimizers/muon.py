"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon): steps whose matrices are made orthogonal.

With the scale of Liu et al. 2025 (arXiv 2502.16982), by which its steps are as large as AdamW's and one rate does for
both.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

REVISION = 2

_A, _B, _C = 3.4445, -4.7750, 2.0315  # of the quintic: the steepest at 0 that keeps singular values near 1
_SMALLEST_NORM = 1e-7
_RMS = 0.2  # of the elements of a step of AdamW


class Muon(torch.optim.Optimizer):
    """Orthogonal steps for the groups that are `hidden` matrices (convolutions: outputs x all else), AdamW for others.

    AdamW's rate is `adamw_factor` times that of the orthogonal steps.

    torch's own takes only matrices with two dimensions, and rounds to bfloat16 on the way.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float,
        momentum: float = 0.95,
        nesterov: bool = True,
        num_iterations: int = 5,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        adamw_factor: float = 1.0,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "num_iterations": num_iterations,
            "beta1": beta1,
            "beta2": beta2,
            "eps": eps,
            "weight_decay": weight_decay,
            "adamw_factor": adamw_factor,
            "hidden": False,
        }
        super().__init__(params, defaults)

    def slots(self, parameter: Tensor) -> tuple[str, ...]:
        """The names of the tensors that are kept for a parameter."""
        hidden = any(parameter is each for group in self.param_groups if group["hidden"] for each in group["params"])
        return ("momentum_buffer",) if hidden else ("exp_avg", "exp_avg_sq", "step")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update; weight decay is decoupled."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            rate = group["lr"] * (1.0 if group["hidden"] else group["adamw_factor"])
            torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])
            if not group["hidden"]:
                self._adamw_step(parameters, rate, group)
                continue
            for parameter in parameters:
                self._orthogonal_step(parameter, parameter.grad, group)
        return loss

    def _orthogonal_step(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        momentum = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        direction = gradient.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum
        matrix = orthogonalised(direction.flatten(1), group["num_iterations"])
        scale = _RMS * math.sqrt(max(matrix.shape))
        parameter.add_(matrix.reshape(parameter.shape), alpha=-group["lr"] * scale)

    def _adamw_step(self, parameters: list[Tensor], rate: float, group: dict[str, Any]) -> None:
        beta1, beta2 = group["beta1"], group["beta2"]
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros(())
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
            state["step"] += 1
        states = [self.state[parameter] for parameter in parameters]
        steps = [float(state["step"]) for state in states]  # new tensors of an edited network have taken fewer
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]  # all have one
        means, squares = ([state[slot] for state in states] for slot in ("exp_avg", "exp_avg_sq"))
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta2)
        deviations = torch._foreach_sqrt(squares)
        torch._foreach_div_(deviations, [(1 - beta2**step) ** 0.5 for step in steps])
        torch._foreach_add_(deviations, group["eps"])
        torch._foreach_addcdiv_(parameters, means, deviations, [-rate / (1 - beta1**step) for step in steps])


def orthogonalised(matrix: Tensor, num_iterations: int) -> Tensor:
    """Roughly the nearest matrix whose singular values are all 1 (they lie near 1), by a Newton-Schulz iteration."""
    device = matrix.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else matrix.dtype
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = (x / x.norm().clamp(min=_SMALLEST_NORM)).to(dtype)  # once, instead of before each product
    with torch.autocast(device, enabled=False):
        for _ in range(num_iterations):
            gram = x @ x.T
            polynomial = torch.addmm(gram, gram, gram, beta=_B, alpha=_C)
            x = torch.addmm(x, polynomial, x, beta=_A)
    return (x.T if is_tall else x).to(matrix.dtype)
