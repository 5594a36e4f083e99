"""How much memory a worker held, which is warm and had other jobs before; and whether it was too much."""

import contextlib
import re
import resource
import sys
from pathlib import Path

PROC = Path("/proc/self")

_RESET_PEAK = "5"  # proc_pid_clear_refs(5)
_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)
# As torch says it of processors, CUDA and cuDNN, onnxruntime, and the system.
_RAN_OUT = re.compile(
    r"out of memory|not enough memory|(can't|cannot|failed to) allocate memory|alloc_failed|bad_alloc", re.IGNORECASE
)


def reset_peak_memory() -> None:
    """Forget what this process held before; where the system does not let it, nothing is forgotten."""
    with contextlib.suppress(OSError):
        (PROC / "clear_refs").write_text(_RESET_PEAK)


def peak_memory_bytes() -> int:
    """The most that this process held since the last reset."""
    with contextlib.suppress(OSError):
        if found := _PEAK.search((PROC / "status").read_text()):
            return int(found[1]) * 1024
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024  # the one counts bytes, others kilobytes


def ran_out(error: Exception) -> bool:
    """Whether memory ran out, as an exception: only Python's own have a kind for that."""
    return isinstance(error, MemoryError) or _RAN_OUT.search(str(error)) is not None
