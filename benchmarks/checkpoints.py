"""What do checkpoints and the store cost a training, and what does going on after a kill?

    python -m benchmarks.checkpoints                              # digits, half a minute on 2 cores
    python -m benchmarks.checkpoints --full data=mnist data.root=DIR   # longer trainings, ten kills: some 10 minutes

The share is that of the seconds around every call that takes a state, writes a checkpoint or writes to the store, of a
trial's seconds. Then a worker that trains the same is killed at moments spread over the training, and another one goes
on from what it finds; what is trained twice is what the killed one had reported and no checkpoint had. All have to end
with the same bits. Arguments are overrides as for `espalier run`.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.rows import Row, print_rows
from benchmarks.stopwatch import Stopwatch
from benchmarks.trainings import trial_of
from modules.records import TrialResult
from modules.store import Store
from modules.training.callbacks import checkpoints
from modules.training.numerics import numerics_of_this_process
from modules.training.spec import Slice, TrialSpec
from modules.training.training import checkpoint_samples
from modules.training.trial import run_trial
from modules.workers.pool import Worker, WorkerDiedError

_JOB = "modules.training.trial.train_trial"
_QUICK_SAMPLES, _FULL_SAMPLES = 120_000, 480_000
_QUICK_KILLS, _FULL_KILLS = 3, 10
_MOST_SHARE = 0.02


class GoneOn(NamedTuple):
    """A training that was killed and gone on with."""

    lost_samples: int  # trained twice
    start_seconds: float  # from the call to the first word of the one that goes on
    state_sha256: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for `espalier run`")
    parser.add_argument("--full", action="store_true", help=f"{_FULL_SAMPLES:,} samples, {_FULL_KILLS} kills")
    parser.add_argument("--samples", type=int, help="of each training")
    arguments = parser.parse_intermixed_args()
    samples = arguments.samples or (_FULL_SAMPLES if arguments.full else _QUICK_SAMPLES)
    kills = _FULL_KILLS if arguments.full else _QUICK_KILLS
    with tempfile.TemporaryDirectory(prefix="espalier-benchmark-") as folder:
        home = Path(folder)
        spec = trial_of(arguments.overrides, Slice(samples=samples, evaluate_every=samples // 4), home)
        shares = _shares(spec, home, 5 if arguments.full else 3)
        first, whole = _timed_start(spec, home)
        gone_on = [_killed(spec, home, samples * (number + 1) // (kills + 1)) for number in range(kills)]
    if {whole.state_sha256} != {each.state_sha256 for each in gone_on}:
        sys.exit("a training that was gone on with ended with other bits")
    print_rows([_share_row(spec, shares), _kill_row(spec, whole, first, gone_on)])


def _shares(spec: TrialSpec, home: Path, repetitions: int) -> list[float]:
    stopwatch = Stopwatch()
    stopwatch.watch(checkpoints.Checkpoints, "_keep", "write", "forget")
    stopwatch.watch(Store, "put")
    shares = []
    for seed in range(1, repetitions + 1):
        stopwatch.seconds = 0.0
        result = run_trial(spec.updated(seed=seed), home, lambda progress: None)
        shares.append(stopwatch.seconds / result.seconds)
    return shares


def _timed_start(spec: TrialSpec, home: Path) -> tuple[float, TrialResult]:
    """A whole training in a worker that has torch: seconds to its first word, and what it ends with."""
    heard: list[float] = []
    worker, began = _worker(home), time.monotonic()
    result = _train(worker, spec, home, lambda progress: heard.append(time.monotonic() - began))
    worker.kill()
    Store(home / "store").remove("trials", spec.key)
    return heard[0], result


def _killed(spec: TrialSpec, home: Path, after: int) -> GoneOn:
    """Kill a worker once it has trained so many samples; another one goes on."""
    told: list[int] = []
    worker, store = _worker(home), Store(home / "store")

    def strike(progress: dict[str, Any]) -> None:
        told.append(progress["samples"])
        if told[-1] >= after:
            worker.process.kill()

    try:
        _train(worker, spec, home, strike)
    except WorkerDiedError:
        worker.kill()
    found = checkpoints.find_checkpoint(store, spec.key)
    kept = found.history["samples"] if found else 0
    start, result = _timed_start(spec, home)
    return GoneOn(told[-1] - kept, start, result.state_sha256)


def _worker(home: Path) -> Worker:
    """One that has imported what it trains with."""
    numerics = numerics_of_this_process()
    worker = Worker(numerics.threads, home / "logs" / "worker.log", preload="modules.training.trial")
    asked: dict[str, Any] = {"precision": numerics.precision, "accelerator": numerics.device}
    asked |= {"devices": numerics.devices, "strategy": numerics.strategy}
    worker.call("modules.training.numerics.describe_numerics", asked, lambda progress: None, None)
    return worker


def _train(worker: Worker, spec: TrialSpec, home: Path, report: Callable[[dict[str, Any]], None]) -> TrialResult:
    arguments = {"spec": spec.model_dump(mode="json"), "home": str(home)}
    return TrialResult.model_validate(worker.call(_JOB, arguments, report, None))


def _share_row(spec: TrialSpec, shares: Sequence[float]) -> Row:
    middle = statistics.median(shares)
    return Row(
        figure=f"{spec.data.name}: checkpoints and store, share of a trial of {spec.slice.samples:,} samples",
        target=f"≤ {_MOST_SHARE:.0%}",
        value=middle,
        shown=f"{middle:.2%} (median of {len(shares)}, {min(shares):.2%} to {max(shares):.2%})",
        met=middle <= _MOST_SHARE,
        seeds=f"seeds 1 to {len(shares)}",
        details={"shares": list(shares)},
    )


def _kill_row(spec: TrialSpec, whole: TrialResult, first: float, gone_on: Sequence[GoneOn]) -> Row:
    pace = whole.samples / whole.seconds
    interval = checkpoints.SECONDS_BETWEEN_WRITES + checkpoint_samples(spec.recipe.architecture) / pace
    lost = [each.lost_samples / pace for each in gone_on]
    start = statistics.median(each.start_seconds for each in gone_on)
    return Row(
        figure=f"{spec.data.name}: what is trained twice after a kill, of a trial of {whole.seconds:.0f} s",
        target=f"≤ one interval between checkpoints, {interval:.0f} s",
        value=round(max(lost), 2),
        shown=f"at most {max(lost):.1f} s, median {statistics.median(lost):.1f} s of {len(lost)} kills, the same bits; "
        f"first word after {start:.1f} s, of one that starts anew after {first:.1f} s",
        met=max(lost) <= interval,
        seeds="seed 0",
        details={"lost_seconds": lost, "start_seconds": [each.start_seconds for each in gone_on], "whole": first},
    )


if __name__ == "__main__":
    main()
