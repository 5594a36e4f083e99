"""The optimiser of a recipe over a network: which of its parameters decay, and which are hidden matrices."""

from typing import Any

import torch
from torch import Tensor, nn

from modules.parts import build
from modules.records import Part

REVISION = 2

# One pass over memory instead of a dozen. SGD's is left out: it fails where only some parameters have a momentum yet,
# as after an edit; and so are other devices, where it wants its counts of steps on the device.
_FUSED_ON_CPU = ("torch.optim.Adagrad", "torch.optim.Adam", "torch.optim.AdamW")


def build_optimizer(part: Part, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a recipe; biases and normalisation are not decayed. Its rate is set before each step.

    Groups say by `hidden` whether their parameters are hidden matrices, which some optimisers treat apart.
    """
    hidden = hidden_matrices(network)
    known = set(map(id, hidden))
    others = [parameter for parameter in network.parameters() if id(parameter) not in known]
    groups: list[dict[str, Any]] = [
        {"params": hidden, "hidden": True},
        {"params": [parameter for parameter in others if parameter.ndim > 1]},
        {"params": [parameter for parameter in others if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    is_fused = part.target in _FUSED_ON_CPU and all(each.device.type == "cpu" for each in network.parameters())
    extra: dict[str, Any] = {"fused": True} if is_fused else {}
    optimizer: torch.optim.Optimizer = build(part, [group for group in groups if group["params"]], lr=1e-3, **extra)
    return optimizer


def hidden_matrices(network: nn.Module) -> list[Tensor]:
    """The weights of all convolutions and dense layers but the first and the last; grouped ones are no matrices."""
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return [layer.weight for layer in layers[1:-1] if not (isinstance(layer, nn.Conv2d) and layer.groups > 1)]
