"""The state of a training between two slices: weights, averaged weights and the optimiser's moments, by name.

A state is a flat dictionary of tensors: `model.<tensor>`, `ema.<tensor>` and `optimizer.<slot>.<tensor>`, kept in one
safetensors file. Where the batch grows there is also `progress.<field>`: what its size follows from.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import safetensors.torch
import torch
from torch import Tensor, nn

from modules.training.progress import BEGINNING, Progress

State = dict[str, Tensor]


@runtime_checkable
class HasSlots(Protocol):
    """An optimiser that keeps different moments for different parameters."""

    def slots(self, parameter: Tensor) -> Sequence[str]:
        """The names of a parameter's."""


def read_state(path: Path) -> State:
    """The tensors of a state file."""
    return safetensors.torch.load_file(path)


def write_state(path: Path, state: State) -> None:
    """Write a state file. By Python, whose errors say that a disk is full; safetensors' own are of no kind."""
    # Weights of convolutions lie in memory channels last; the file knows no layouts.
    path.write_bytes(safetensors.torch.save({name: tensor.contiguous() for name, tensor in state.items()}))


def section(state: State, prefix: str) -> State:
    """The tensors under `prefix.`, without it."""
    return {name.removeprefix(f"{prefix}."): tensor for name, tensor in state.items() if name.startswith(f"{prefix}.")}


def collect_state(network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    """The state of a training, in contiguous copies."""
    tensors = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"ema.{name}": tensor for name, tensor in average.state_dict().items()}
    for name, parameter in network.named_parameters():
        for slot, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{slot}.{name}"] = value
    return {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}


def progress_tensors(progress: Progress) -> State:
    """The progress of a lineage as tensors, with all its digits: what goes on from it decides as if there was no break.

    A noise scale that was not measured is no number.
    """
    scales = [math.nan if scale is None else scale for scale in progress.noise_scales]
    return {
        "progress.samples": torch.tensor(progress.samples),
        "progress.total_samples": torch.tensor(progress.total_samples),
        "progress.updates": torch.tensor(progress.updates),
        "progress.steer_losses": torch.tensor(progress.steer_losses, dtype=torch.float64),
        "progress.noise_scales": torch.tensor(scales, dtype=torch.float64),
        "progress.fraction_before": torch.tensor(progress.fraction_before, dtype=torch.float64),
    }


def progress_of(state: State) -> Progress:
    """How far its lineage had come; the beginning where it does not say: its batch did not grow."""
    kept = section(state, "progress")
    if not kept:
        return BEGINNING
    return Progress(
        samples=int(kept["samples"]),
        total_samples=int(kept["total_samples"]),
        updates=int(kept["updates"]),
        steer_losses=tuple(kept["steer_losses"].tolist()),
        noise_scales=tuple(None if math.isnan(scale) else scale for scale in kept["noise_scales"].tolist()),
        fraction_before=float(kept["fraction_before"]),
    )


def restore_optimizer(state: State, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Give each parameter its moments back; one that lacks any (it is new, or has a new role) starts without.

    But a momentum that only the recipe has by now begins beside the other moments, which RMSprop expects.
    """
    optimizer.state.clear()
    moments = section(state, "optimizer")
    everywhere = sorted({name.partition(".")[0] for name in moments})
    for name, parameter in network.named_parameters():
        slots = optimizer.slots(parameter) if isinstance(optimizer, HasSlots) else everywhere
        found = {slot: moments[f"{slot}.{name}"] for slot in slots if f"{slot}.{name}" in moments}
        if found and len(found) == len(slots):
            optimizer.state[parameter] = {slot: _like(value, parameter) for slot, value in found.items()}
            if optimizer.defaults.get("momentum") and not isinstance(optimizer, HasSlots):
                optimizer.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """A copy of a moment in its parameter's memory layout, which fused optimisers expect; counts stay as they are."""
    if value.shape != parameter.shape:
        return value.clone()
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
