"""Schedule-free AdamW (Defazio et al. 2024, arXiv 2405.15682): a running average instead of a falling rate."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

REVISION = 1


class ScheduleFreeAdamW(torch.optim.Optimizer):
    """Takes gradients at y = (1 - beta1) z + beta1 x, where z takes the steps and x is the average of all z.

    The parameter holds y; `averaged` gives x, which is what counts. The slot `offset` is z - y, so that what an edit
    adds to a network, with zeros in every slot, starts with x = y = z. Warm-up comes from the schedule.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay})

    def averaged(self, parameter: Tensor) -> Tensor:
        """x, of the shape of the parameter; the parameter itself before its first step."""
        state = self.state.get(parameter)
        if not state:
            return parameter.detach().clone()
        return parameter.detach().sub(state["offset"], alpha=1 / self.defaults["beta1"] - 1)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update; weight decay is decoupled and taken at y."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, parameter.grad, group)
        return loss

    def _step(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        rate, beta1, beta2 = group["lr"], group["beta1"], group["beta2"]
        state = self._state(parameter)
        state["step"] += 1
        square = state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        deviation = square.div(1 - beta2 ** float(state["step"])).sqrt_().add_(group["eps"])
        direction = (gradient / deviation).add_(parameter, alpha=group["weight_decay"])
        share = _share_in_average(state, rate)
        # z' = z - rate * direction, x' = (1 - share) x + share z', y' between them: written in y and z - y
        offset = state["offset"].sub_(direction, alpha=rate * beta1)
        parameter.add_(offset, alpha=share).sub_(direction, alpha=rate * (1 - beta1))
        offset.mul_(1 - share)

    def _state(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["weight_sum"] = torch.zeros((), dtype=torch.float64)
            state["largest_rate"] = torch.zeros((), dtype=torch.float64)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
            state["offset"] = torch.zeros_like(parameter)
        return state


def _share_in_average(state: dict[str, Tensor], rate: float) -> float:
    """Of the newest z: as the square of the largest rate so far, so that the steps of a warm-up count for less."""
    largest = max(rate, float(state["largest_rate"]))
    total = float(state["weight_sum"]) + largest**2
    state["largest_rate"].fill_(largest)
    state["weight_sum"].fill_(total)
    return largest**2 / total if total else 0.0
