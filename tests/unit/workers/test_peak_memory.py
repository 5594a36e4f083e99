import errno
import os
import resource
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from modules.workers import memory
from modules.workers.memory import peak_memory_bytes, ran_out, reset_peak_memory

LARGE = 256 * 2**20


def can_reset():
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


@pytest.mark.skipif(not can_reset(), reason="this system lets no process reset its peak")
def test_what_was_held_before_is_forgotten():
    reset_peak_memory()
    before = peak_memory_bytes()
    held = np.ones(LARGE, dtype=np.uint8)
    assert peak_memory_bytes() > before + 0.9 * LARGE
    del held
    assert peak_memory_bytes() > before + 0.9 * LARGE
    reset_peak_memory()
    assert peak_memory_bytes() < before + 0.5 * LARGE


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_elsewhere_it_is_the_largest_of_the_whole_life(tmp_path, monkeypatch, platform, unit):
    monkeypatch.setattr(memory, "PROC", tmp_path / "nowhere")
    monkeypatch.setattr(sys, "platform", platform)
    reset_peak_memory()
    assert peak_memory_bytes() == pytest.approx(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, rel=0.01)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
)
def test_memory_that_ran_out_is_known_whoever_says_so(error):
    assert ran_out(error)


def test_torchs_own_exception_is_known():
    size = 1 << 62  # bytes, which no machine has
    with pytest.raises(RuntimeError) as raised:
        torch.empty(size, dtype=torch.uint8)
    assert ran_out(raised.value)


@pytest.mark.parametrize("error", [ValueError("a memory of 3 steps"), OSError(errno.ENOSPC, "No space left on device")])
def test_other_errors_are_not(error):
    assert not ran_out(error)
