"""What data has to say after an edit: the statistics of new or changed normalisations, and means that should stay."""

from collections.abc import Callable

import torch
from torch import Tensor

from modules.architecture.description import IMAGE
from modules.architecture.module import Network
from modules.architecture.nodes import Node, Norm
from modules.edits.changes import Assign, Scale, Shift, TensorChange
from modules.edits.edit import Calibration, FollowNorm, KeepMean, KeepSpread, NeutralNorm, SetNorm

REVISION = 3  # 3: statistics follow an edit instead of being set anew

_SILENCE = 1e-4  # of the mean variance: a channel that these images hardly move must not explode on others
_CONSTANT = 1e-12  # of the mean square
_LEAST_VARIANCE = 1e-30
_MOST_VALUES = 32_000_000  # in double precision at once: 256 MB


class Passage:
    """Images (N, C, H, W) on their way through a network in evaluation mode, node by node, as far as is asked for.

    Asked in the order of the nodes, each is computed once, and what no later one needs is forgotten.
    """

    def __init__(self, network: Network, images: Tensor) -> None:
        self.network = network
        self._images = images
        self._begin()

    def _begin(self) -> None:
        self._values = {IMAGE: self._images}
        self._waiting = list(self.network.architecture.nodes)

    def output(self, name: str) -> Tensor:
        """What a node gives."""
        if name not in self._values and all(node.name != name for node in self._waiting):
            self._begin()
        while name not in self._values:
            node = self._waiting.pop(0)
            self._values[node.name] = self._computed(node)
            needed = {node.name, *node.inputs, *(each for later in self._waiting for each in later.inputs)}
            self._values = {each: value for each, value in self._values.items() if each in needed}
        return self._values[name]

    def repeat(self, name: str) -> None:
        """Compute a node again, whose weights have changed since it was computed last, if it was."""
        if name in self._values:
            self._values[name] = self._computed(self.network.architecture.node(name))

    def _computed(self, node: Node) -> Tensor:
        with torch.no_grad():
            values: Tensor = self.network.get_submodule(node.name)(*(self._values[each] for each in node.inputs))
        return values


def measured_changes(calibration: Calibration, before: Passage, after: Passage) -> list[TensorChange]:
    """The changes that a calibration comes to on the images that pass through both networks."""
    match calibration:
        case SetNorm(node):
            mean, variance = _moments(node, after)
            return _statistics(node, mean, _steadied(mean, variance))
        case FollowNorm(node, channels):
            return _statistics(node, *_followed(node, channels, before, after))
        case NeutralNorm(node):
            mean, variance = _moments(node, after)
            variance = _steadied(mean, variance)
            deviation = (variance + _norm(after.network, node).eps).sqrt()
            return [
                *_statistics(node, mean, variance),
                Assign(tensor=f"{node}.weight", start=0, values=tuple(deviation.tolist())),
                Assign(tensor=f"{node}.bias", start=0, values=tuple(mean.tolist())),
            ]
        case KeepMean(node, channels):
            wanted = _mean(before.output(node))
            shift = (wanted if channels is None else wanted[list(channels)]) - _mean(after.output(node))
            return [Shift(tensor=f"{node}.bias", values=tuple(shift.tolist()))]
        case KeepSpread(node):
            return _spread_changes(node, before.output(node), after)


def _spread_changes(node: str, wanted: Tensor, after: Passage) -> list[TensorChange]:
    """Scales and shifts that give the output of a normalisation the wanted deviations and means."""
    found = after.output(node)
    mean, deviation = _mean(found), _variance(found).sqrt()
    floor = _SILENCE**0.5 * deviation.square().mean().sqrt()
    scale = torch.where(deviation > floor, _variance(wanted).sqrt() / deviation, torch.ones(()))
    bias = after.network.get_parameter(f"{node}.bias").detach().double()
    shift = _mean(wanted) - (scale * (mean - bias) + bias)
    return [
        Scale(tensor=f"{node}.weight", values=tuple(scale.tolist())),
        Shift(tensor=f"{node}.bias", values=tuple(shift.tolist())),
    ]


def _moments(node: str, passage: Passage) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel that a normalisation gets."""
    values = passage.output(passage.network.architecture.node(node).inputs[0])
    variance, mean = _by_channel(values, lambda part, dims: torch.stack(torch.var_mean(part, dims, correction=0)))
    return mean, variance


def _steadied(mean: Tensor, variance: Tensor) -> Tensor:
    """Variances that a normalisation can go by also on other images."""
    if variance.mean() <= _rounding(mean, variance):  # dead: several such norms would blow up rounding errors
        return torch.ones_like(variance)
    return variance.clamp(min=_SILENCE * float(variance.mean()))


def _rounding(mean: Tensor, variance: Tensor) -> float:
    """A mean variance that rounding makes of values that are all the same."""
    return _CONSTANT * float((mean.square() + variance).mean())


def _followed(node: str, channels: tuple[int, ...] | None, before: Passage, after: Passage) -> tuple[Tensor, Tensor]:
    """A normalisation's statistics after an edit: its own, moved and scaled as those of what it gets are on data.

    So they stay where that stays. A channel that the data hardly moved before, and moves now, gets the data's: a ratio
    to next to nothing says nothing.
    """
    old_mean, old_variance = _moments(node, before)
    mean, variance = _moments(node, after)
    floor = max(_SILENCE * float(old_variance.mean()), _rounding(old_mean, old_variance), _LEAST_VARIANCE)
    if channels is not None:
        old_mean, old_variance = old_mean[list(channels)], old_variance[list(channels)]
    own_mean, own_variance = (
        after.network.get_buffer(f"{node}.{name}").double() for name in ("running_mean", "running_var")
    )
    woken = (old_variance <= floor) & (variance > floor)
    ratio = variance.clamp(min=floor) / old_variance.clamp(min=floor)
    eps = _norm(after.network, node).eps  # which a normalisation adds before it divides
    followed_mean = mean + (own_mean - old_mean) * ratio.sqrt()
    followed_variance = ((own_variance + eps) * ratio - eps).clamp(min=0)
    return torch.where(woken, mean, followed_mean), torch.where(woken, variance, followed_variance)


def _statistics(node: str, mean: Tensor, variance: Tensor) -> list[TensorChange]:
    return [
        Assign(tensor=f"{node}.running_mean", start=0, values=tuple(mean.tolist())),
        Assign(tensor=f"{node}.running_var", start=0, values=tuple(variance.tolist())),
    ]


def _norm(network: Network, name: str) -> Norm:
    node = network.architecture.node(name)
    assert isinstance(node, Norm)
    return node


def _mean(values: Tensor) -> Tensor:
    return _by_channel(values, lambda part, dims: part.mean(dims))


def _variance(values: Tensor) -> Tensor:
    return _by_channel(values, lambda part, dims: part.var(dims, correction=0))


def _by_channel(values: Tensor, measure: Callable[[Tensor, list[int]], Tensor]) -> Tensor:
    """A measure of each channel in double precision: of a few at once, since a copy takes twice as much memory."""
    dims = [dim for dim in range(values.ndim) if dim != 1]
    at_once = max(1, _MOST_VALUES * values.shape[1] // values.numel())
    return torch.cat([measure(part.double(), dims) for part in values.split(at_once, dim=1)], dim=-1)
