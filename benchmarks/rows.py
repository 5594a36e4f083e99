"""What a benchmark prints: for each figure a line of JSON that describes its machine, and a row for BENCHMARKS.md."""

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from modules.training.numerics import numerics_of_this_process

HEADER = (
    "| figure | target | value | met | seeds | machine | command | date |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)


@dataclass(frozen=True)
class Row:
    """One figure: `value` in the unit that `shown` says, the seeds behind it, and what else a program may want."""

    figure: str
    target: str
    value: float
    shown: str
    met: bool
    seeds: str
    details: dict[str, Any] = field(default_factory=dict)


@cache
def machine() -> dict[str, Any]:
    """The processor's name, the cores this process may use, the instruction set torch uses, torch's version."""
    numerics = numerics_of_this_process()
    instructions = numerics.cpu_capability + (" bf16" if numerics.precision == "bfloat16" else "")
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "instructions": instructions,
        "torch": version("torch").partition("+")[0],
    }


def _cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def command() -> str:
    """This process's command line; folders, which differ between machines, as DIR."""
    script, *arguments = sys.argv
    return " ".join(["python", "-m", f"benchmarks.{Path(script).stem}", *map(_without_folder, arguments)])


def _without_folder(argument: str) -> str:
    name, equals, value = argument.rpartition("=")
    return f"{name}{equals}DIR" if os.sep in value or Path(value).is_dir() else argument


def print_rows(rows: Sequence[Row]) -> None:
    """Print what was measured, for programs and for BENCHMARKS.md."""
    for row in rows:
        print_json({name: getattr(row, name) for name in row.__dataclass_fields__})
    print("\n".join([*HEADER, *(markdown(row, _today()) for row in rows)]))


def print_json(measured: dict[str, Any]) -> None:
    """Print a line for programs: what was measured, where, how and when."""
    print(json.dumps({**measured, "machine": machine(), "command": command(), "date": _today()}), flush=True)


def print_table(title: str, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a table for BENCHMARKS.md."""
    rule = ["---"] * len(columns)
    print("\n".join([f"\n### {title}\n", *(f"| {' | '.join(cells)} |" for cells in (columns, rule, *lines))]))
    print(f"\n`{command()}`, {_place()}, {_today()}.")


def _today() -> str:
    return time.strftime("%Y-%m-%d")


def _place() -> str:
    return "{cpu}, {cores} cores, {instructions}, torch {torch}".format_map(machine())


def markdown(row: Row, date: str) -> str:
    """The row for BENCHMARKS.md."""
    met = "yes" if row.met else "no"
    cells = (row.figure, row.target, row.shown, met, row.seeds, _place(), f"`{command()}`", date)
    return f"| {' | '.join(cells)} |"
