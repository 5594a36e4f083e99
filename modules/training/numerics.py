"""What this processor can do, and what follows from it for the bits of a training."""

from pathlib import Path
from typing import Any, Literal

import torch

from modules.records import Numerics
from modules.workers.jobs import Report, job

_CPU_INFO = Path("/proc/cpuinfo")


@job
def describe_numerics(precision: str, report: Report) -> dict[str, Any]:
    """The numerics of this worker; precision `auto` is bfloat16 where the processor multiplies it, else float32."""
    return numerics_of_this_process(precision).model_dump()


def numerics_of_this_process(precision: str = "auto") -> Numerics:
    """See `describe_numerics`."""
    chosen: Literal["float32", "bfloat16"] = "float32"
    if precision == "bfloat16" or (precision == "auto" and _multiplies_bfloat16()):
        chosen = "bfloat16"
    return Numerics(
        torch=torch.__version__.partition("+")[0],
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        precision=chosen,
        channels_last=True,
    )


def _multiplies_bfloat16() -> bool:
    if not _CPU_INFO.exists():
        return False
    flags = _CPU_INFO.read_text().split()
    return "avx512_bf16" in flags or "amx_bf16" in flags
