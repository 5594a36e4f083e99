"""What does metering cost a training? The share of a trial's seconds that is spent in its meter; target: at most 2 %.

    python -m benchmarks.energy_overhead             # digits, slices of 8,000 samples, half a minute on 2 cores
    python -m benchmarks.energy_overhead --full      # fifteen of them

The trials are those of the default study's generations, the shortest that a study has: a meter is opened, read and
closed once a trial, whatever its length. The seconds are taken around every call of the meter, which tells more than
the difference of trainings with and without it, which is lost in their noise.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks.rows import Row, print_rows
from benchmarks.stopwatch import Stopwatch
from benchmarks.trainings import trial_of
from modules.energy import meter as metering
from modules.training.spec import Slice
from modules.training.trial import run_trial

_SAMPLES = 8_000
_MOST = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for `espalier run`")
    parser.add_argument("--full", action="store_true", help="fifteen trials instead of three")
    arguments = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory(prefix="espalier-benchmark-") as folder:
        home, stopwatch = Path(folder), Stopwatch()
        for kind in (metering.Estimate, metering.Counters):
            stopwatch.watch(kind, "read", "close")
        stopwatch.watch(metering, "open_meter")
        trial = trial_of(arguments.overrides, Slice(samples=_SAMPLES, evaluate_every=_SAMPLES), home)
        shares = []
        for seed in range(15 if arguments.full else 3):
            stopwatch.seconds = 0.0
            result = run_trial(trial.updated(seed=seed), home, lambda progress: None)
            shares.append(stopwatch.seconds / result.seconds)
    print_rows([_row(shares, str(result.energy_method))])


def _row(shares: list[float], method: str) -> Row:
    middle = statistics.median(shares)
    return Row(
        figure=f"metering of energy, share of a trial of {_SAMPLES:,} samples",
        target=f"≤ {_MOST:.0%}",
        value=middle,
        shown=f"{middle:.2%} (median of {len(shares)}, {min(shares):.2%} to {max(shares):.2%}); {method}",
        met=middle <= _MOST,
        seeds=f"seed 0 to {len(shares) - 1}",
        details={"shares": shares},
    )


if __name__ == "__main__":
    main()
