import resource
import sys
from pathlib import Path

import numpy as np
import pytest

from modules.workers import memory
from modules.workers.memory import peak_memory_bytes, reset_peak_memory

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
