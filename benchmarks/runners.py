"""How much sooner are trials done side by side? The generations of a study with each runner, with one thread a trial.

    python -m benchmarks.runners                                  # digits, serial and processes, 5 minutes on 2 cores
    python -m benchmarks.runners --full -- data=mnist data.root=DIR   # and Dask; longer slices

Trials an hour are those of the generations (controls and edits): from the start of the first to the end of the last,
with all that lies between. What comes before and after them has nothing to be side by side with. The winners have to be
the same to the bit.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.commands import Finished, empty_home, run_study
from benchmarks.rows import Row, print_rows

_LEAST_SPEEDUP = 1.7
_STUDY = ("trainer.threads=1", "search.generations=2", "search.edits_per_generation=9", "search.from_scratch=false")
_SLICE, _LONG_SLICE = 32_000, 120_000  # samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="for `espalier run`")
    parser.add_argument("--full", action="store_true", help="Dask, too, and longer slices")
    parser.add_argument("--workers", type=int, default=2, help="side by side (default 2)")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the studies in")
    arguments = parser.parse_intermixed_args()
    runners = ["serial", "processes", *(["dask"] if arguments.full else [])]
    slices = [f"search.slice_samples={_LONG_SLICE if arguments.full else _SLICE}"]
    if any(override.startswith("search.slice_samples=") for override in arguments.overrides):
        slices = []
    done = {}
    with empty_home(arguments.keep) as home:
        for runner in runners:
            side_by_side = [] if runner == "serial" else [f"runner.workers={arguments.workers}"]
            overrides = [*_STUDY, *slices, f"runner={runner}", *side_by_side, *arguments.overrides]
            study = run_study(overrides, home / runner)
            done[runner] = (study, _trials_an_hour(study, home / runner))
    _check_same([study for study, _ in done.values()])
    serial = done["serial"][1]
    print_rows([_row(runner, arguments.workers, rate, serial) for runner, (_, rate) in done.items()])


def _trials_an_hour(study: Finished, home: Path) -> float:
    ledger = json.loads((home / study.summary["ledger"]).read_text())
    keys = [key for record in ledger["generations"] for row in record["rows"] for key in row["trials"]]
    results = [json.loads((home / "store" / "trials" / key[:2] / key / "result.json").read_text()) for key in set(keys)]
    seconds = max(one["finished_at"] for one in results) - min(one["started_at"] for one in results)
    return len(results) * 3600 / seconds


def _check_same(studies: Sequence[Finished]) -> None:
    winners = {study.summary["champion"]["weights_sha256"] for study in studies}
    if len(winners) > 1:
        sys.exit(f"the runners ended with different winners: {', '.join(sorted(winners))}")


def _row(runner: str, workers: int, rate: float, serial: float) -> Row:
    is_serial = runner == "serial"
    return Row(
        figure=f"trials an hour of generations, runner={runner}, {1 if is_serial else workers} of one thread each",
        target="–" if is_serial else f"≥ {_LEAST_SPEEDUP}× serial",
        value=round(rate / serial, 3),
        shown=f"{rate:,.0f}" if is_serial else f"{rate:,.0f}, {rate / serial:.2f}× serial, the same winner",
        met=is_serial or rate >= _LEAST_SPEEDUP * serial,
        seeds="seed 0",
    )


if __name__ == "__main__":
    main()
