"""What data has to say after an edit: the statistics of new or changed normalisations, and means that should stay."""

import torch
from torch import Tensor

from modules.architecture.description import Norm
from modules.architecture.module import Network
from modules.edits.changes import Assign, Shift, TensorChange
from modules.edits.edit import Calibration, KeepMean, NeutralNorm, SetNorm

REVISION = 2

_SILENCE = 1e-4  # of the mean variance: a channel that these images hardly move must not explode on others
_CONSTANT = 1e-12  # of the mean square: a variance that rounding makes of values that are all the same


def measured_changes(calibration: Calibration, before: Network, after: Network, images: Tensor) -> list[TensorChange]:
    """The changes that a calibration comes to on these images (N, C, H, W); both networks in evaluation mode."""
    match calibration:
        case SetNorm(node, start):
            return _statistics(node, start, *_moments(node, after, images))
        case NeutralNorm(node):
            mean, variance = _moments(node, after, images)
            deviation = (variance + _norm(after, node).eps).sqrt()
            return [
                *_statistics(node, 0, mean, variance),
                Assign(tensor=f"{node}.weight", start=0, values=tuple(deviation.tolist())),
                Assign(tensor=f"{node}.bias", start=0, values=tuple(mean.tolist())),
            ]
        case KeepMean(node):
            shift = _mean(_outputs(before, images)[node]) - _mean(_outputs(after, images)[node])
            return [Shift(tensor=f"{node}.bias", values=tuple(shift.tolist()))]


def _moments(node: str, network: Network, images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel that a normalisation gets."""
    values = _outputs(network, images)[network.architecture.node(node).inputs[0]].double()
    variance, mean = torch.var_mean(values, dim=_all_but_channels(values), correction=0)
    typical = float(variance.mean())
    if typical <= _CONSTANT * float(values.square().mean()):  # dead: several such norms would blow up rounding errors
        return mean, torch.ones_like(variance)
    return mean, variance.clamp(min=_SILENCE * typical)


def _statistics(node: str, start: int, mean: Tensor, variance: Tensor) -> list[TensorChange]:
    return [
        Assign(tensor=f"{node}.running_mean", start=start, values=tuple(mean[start:].tolist())),
        Assign(tensor=f"{node}.running_var", start=start, values=tuple(variance[start:].tolist())),
    ]


def _norm(network: Network, name: str) -> Norm:
    node = network.architecture.node(name)
    assert isinstance(node, Norm)
    return node


def _outputs(network: Network, images: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return network.outputs(images)


def _mean(values: Tensor) -> Tensor:
    return values.double().mean(dim=_all_but_channels(values))


def _all_but_channels(values: Tensor) -> list[int]:
    return [dim for dim in range(values.ndim) if dim != 1]
