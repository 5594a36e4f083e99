"""What this machine can do, and what follows from it for the bits of a training."""

from pathlib import Path
from typing import Any, Literal

import torch

from modules.errors import ConfigError
from modules.records import Numerics
from modules.workers.jobs import Report, job

_CPU_INFO = Path("/proc/cpuinfo")


@job
def describe_numerics(precision: str, accelerator: str, devices: int, strategy: str, report: Report) -> dict[str, Any]:
    """The numerics of this worker; see `numerics_of_this_process`."""
    return numerics_of_this_process(precision, accelerator, devices, strategy).model_dump()


def numerics_of_this_process(
    precision: str = "auto", accelerator: str = "cpu", devices: int = 1, strategy: str = "auto"
) -> Numerics:
    """What a training here computes with.

    `precision` auto is bfloat16 where the processor multiplies it, else float32; `accelerator` auto is a GPU where
    there is one; `strategy` auto is ddp for several devices, and none for one. ConfigError for a device that is not
    there.
    """
    device = _device(accelerator)
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device, devices)  # of processors, there are processes
    if devices > there:
        raise ConfigError(
            f"trainer.devices={devices} asks for more GPUs than this machine has; allowed are up to {there}"
        )
    chosen: Literal["float32", "bfloat16"] = "float32"
    if precision == "bfloat16" or (precision == "auto" and _multiplies_bfloat16(device)):
        chosen = "bfloat16"
    return Numerics(
        torch=torch.__version__.partition("+")[0],
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        precision=chosen,
        channels_last=True,
        device=device,
        devices=devices,
        strategy="ddp" if strategy == "auto" and devices > 1 else strategy,
    )


def _device(accelerator: str) -> str:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    found = [name for name, available in there.items() if available]
    if accelerator == "auto":
        return found[0]
    if accelerator not in found:
        raise ConfigError(f"trainer.accelerator={accelerator} is not there; this machine has {', '.join(found)}")
    return accelerator


def _multiplies_bfloat16(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    if device == "mps" or not _CPU_INFO.exists():
        return False
    flags = _CPU_INFO.read_text().split()
    return "avx512_bf16" in flags or "amx_bf16" in flags
