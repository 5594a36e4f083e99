"""The optimiser of a recipe over a network: which of its parameters decay, and which are hidden matrices."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from modules.parts import build
from modules.records import Part

REVISION = 2

RATE_FACTOR = "rate_factor"  # of a group: its share of the learning rate
_RATES = 8  # how many there are between the first layer and the last

# One pass over memory instead of a dozen. SGD's is left out: it fails where only some parameters have a momentum yet,
# as after an edit; and so are other devices, where it wants its counts of steps on the device.
_FUSED_ON_CPU = ("torch.optim.Adagrad", "torch.optim.Adam", "torch.optim.AdamW")


def build_optimizer(part: Part, network: nn.Module, first_layer_rate: float = 1.0) -> torch.optim.Optimizer:
    """The optimiser of a recipe; biases and normalisation are not decayed. Its rate is set before each step.

    Groups say by `hidden` whether their parameters are hidden matrices, which some optimisers treat apart, and by
    `rate_factor` which share of the rate they learn at: `first_layer_rate` where the image comes in, 1 at the logits
    (discriminative fine-tuning, Howard and Ruder 2018, arXiv:1801.06146).
    """
    hidden = set(map(id, hidden_matrices(network)))
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = []
    for factor, parameters in _by_rate(trained, first_layer_rate):
        others = [parameter for parameter in parameters if id(parameter) not in hidden]
        kinds: list[dict[str, Any]] = [
            {"params": [parameter for parameter in parameters if id(parameter) in hidden], "hidden": True},
            {"params": [parameter for parameter in others if parameter.ndim > 1]},
            {"params": [parameter for parameter in others if parameter.ndim <= 1], "weight_decay": 0.0},
        ]
        groups += [kind if factor == 1.0 else {**kind, RATE_FACTOR: factor} for kind in kinds if kind["params"]]
    is_fused = part.target in _FUSED_ON_CPU and all(each.device.type == "cpu" for each in trained)
    extra: dict[str, Any] = {"fused": True} if is_fused else {}
    optimizer: torch.optim.Optimizer = build(part, groups, lr=1e-3, **extra)
    return optimizer


def _by_rate(parameters: Sequence[nn.Parameter], first: float) -> list[tuple[float, list[nn.Parameter]]]:
    """Parameters in the order of their layers, in groups of neighbours, each with its share of the rate."""
    if first == 1.0 or len(parameters) <= 1:
        return [(1.0, list(parameters))]
    groups: dict[int, list[nn.Parameter]] = {}
    for place, parameter in enumerate(parameters):
        groups.setdefault(place * _RATES // len(parameters), []).append(parameter)
    last = max(groups)
    return [(first ** (1 - number / last), group) for number, group in groups.items()]


def hidden_matrices(network: nn.Module) -> list[Tensor]:
    """The weights of all convolutions and dense layers but the first and the last; grouped ones are no matrices."""
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    layers = [layer for layer in layers[1:-1] if layer.weight.requires_grad]
    return [layer.weight for layer in layers if not (isinstance(layer, nn.Conv2d) and layer.groups > 1)]
