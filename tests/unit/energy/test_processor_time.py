"""A made-up /proc, and the real one against what a child says of itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modules.energy.processor_time import machine_seconds, tree_seconds

TICKS = os.sysconf("SC_CLK_TCK")


def write_process(proc: Path, pid: int, parent: int, *ticks: int, name: str = "python") -> None:
    """`ticks`: user, system, and those of children that have ended."""
    folder = proc / str(pid)
    folder.mkdir(parents=True, exist_ok=True)
    fields = ["S", parent, *[0] * 9, *ticks, *[0] * 30]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(map(str, fields))}\n")


def test_a_tree_is_a_process_with_all_that_it_started(tmp_path):
    write_process(tmp_path, 10, 1, 100, 20, 30, 4)
    write_process(tmp_path, 11, 10, 200, 0, 0, 0, name="a (strange) name 1 2 3")
    write_process(tmp_path, 12, 11, 50, 0, 0, 0)
    write_process(tmp_path, 20, 1, 7000, 0, 0, 0)  # another study
    write_process(tmp_path, 21, 20, 9000, 0, 0, 0)
    assert tree_seconds(10, tmp_path) == pytest.approx((154 + 200 + 50) / TICKS)
    assert tree_seconds(20, tmp_path) == pytest.approx(16_000 / TICKS)


def test_the_machine_is_busy_when_it_neither_idles_nor_waits(tmp_path):
    columns = "10 20 30 4000 500 6 7 8 900 1000"  # the last two are guests, counted in the first two
    (tmp_path / "stat").write_text(f"cpu  {columns}\ncpu0 1 1 1 1\n")
    assert machine_seconds(tmp_path) == pytest.approx((10 + 20 + 30 + 6 + 7 + 8) / TICKS)


def test_a_child_that_has_ended_leaves_its_seconds():
    work = "import resource as r\nwhile sum(r.getrusage(r.RUSAGE_SELF)[:2]) < 0.3: pass\n"
    work += "print(sum(r.getrusage(r.RUSAGE_SELF)[:2]))"
    before = tree_seconds()
    worked = float(subprocess.run([sys.executable, "-c", work], capture_output=True, check=True).stdout)
    assert worked - 0.05 < tree_seconds() - before < worked + 0.5
