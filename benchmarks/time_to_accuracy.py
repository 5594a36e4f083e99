"""How much sooner than the classic Keras script is MNIST known to 99.11 %? The best that script is known to reach.

    python -m benchmarks.time_to_accuracy --keras-python keras-venv/bin/python mnist=DIR            # seed 0
    python -m benchmarks.time_to_accuracy --full --keras-python keras-venv/bin/python mnist=DIR     # three seeds

benchmarks/keras_classic.py says how to make that environment. The two take turns, seed by seed.

- Ours is `espalier run experiment=fast data=mnist` in a home that was empty before. What it trains for is fixed before
  it starts, so it has reached the accuracy when its training ends, or not at all. Its training seconds are those of the
  trial, looks at validation images included; its whole seconds go from the command's start to the end of the trial.
- Keras has reached it after the first epoch with which it does, found by looking at the test images after each. Its
  training seconds are those of its epochs, validation included, its whole seconds those since its process started;
  what the looks at the test images take is left out. Where it never reaches the accuracy, all its seconds count: it
  would need more.

Further arguments are overrides for `espalier run`.
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.commands import empty_home, run_study
from benchmarks.keras_classic import run_keras
from benchmarks.rows import Row, print_rows

_ACCURACY = 0.9911
_LEAST_RATIO_TRAINING = 20
_LEAST_RATIO_WHOLE = 8
_SEEDS = 3


class Reached(NamedTuple):
    """How long a training took to the accuracy, and how accurate it then, or at best, was."""

    training_seconds: float
    whole_seconds: float
    accuracy: float
    command_seconds: float  # to the end of the process, with all it does after the training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="mnist=DIR", help="the folder with the four IDX files")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="for `espalier run`")
    parser.add_argument("--keras-python", type=Path, required=True, help="the interpreter that has Keras")
    parser.add_argument("--keras-options", nargs="+", default=[], metavar="NAME=VALUE", help="such as epochs=2")
    parser.add_argument("--experiment", default="fast", help="what is compared with Keras")
    parser.add_argument("--accuracy", type=float, default=_ACCURACY)
    parser.add_argument("--full", dest="seeds", action="store_const", const=_SEEDS, default=1, help="three seeds")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the studies in")
    arguments = parser.parse_intermixed_args()
    root = arguments.data.partition("=")[2]
    options = [f"--{option}" for option in arguments.keras_options]
    ours, keras = [], []
    with empty_home(arguments.keep) as home:
        for seed in range(arguments.seeds):
            overrides = [f"experiment={arguments.experiment}", "data=mnist", f"data.root={root}", f"seed={seed}"]
            ours.append(_run_ours([*overrides, *arguments.overrides], home / f"seed-{seed}", arguments.accuracy))
            _say(arguments.experiment, seed, ours[-1])
            keras.append(_run_keras(arguments.keras_python, root, [f"--seed={seed}", *options], arguments.accuracy))
            _say("Keras", seed, keras[-1])
    print_rows(_rows(ours, keras, arguments))


def _run_ours(overrides: Sequence[str], home: Path, accuracy: float) -> Reached:
    finished = run_study(overrides, home)
    (path,) = home.glob("store/trials/*/*/result.json")
    result, reached = json.loads(path.read_text()), 1 - finished.summary["champion"]["test_error"]
    if reached < accuracy:
        return Reached(math.inf, math.inf, reached, finished.seconds)
    return Reached(result["seconds"], result["finished_at"] - finished.started_at, reached, finished.seconds)


def _run_keras(python: Path, root: str, options: Sequence[str], accuracy: float) -> Reached:
    epochs = run_keras(python, root, *options)
    best = max(epoch["test_accuracy"] for epoch in epochs)
    end = next((epoch for epoch in epochs if epoch["test_accuracy"] >= accuracy), epochs[-1])
    seconds = end["training_seconds"], end["seconds_since_start"]
    return Reached(*seconds, best, epochs[-1]["seconds_since_start"])


def _say(name: str, seed: int, run: Reached) -> None:
    print(f"{name}, seed {seed}: {run}", file=sys.stderr, flush=True)


def _rows(ours: list[Reached], keras: list[Reached], arguments: argparse.Namespace) -> list[Row]:
    training = _row("training alone", lambda run: run.training_seconds, _LEAST_RATIO_TRAINING, ours, keras, arguments)
    whole = _row("from a cold start", lambda run: run.whole_seconds, _LEAST_RATIO_WHOLE, ours, keras, arguments)
    return [training, whole]


def _row(
    what: str,
    seconds: Callable[[Reached], float],
    least: float,
    ours: list[Reached],
    keras: list[Reached],
    arguments: argparse.Namespace,
) -> Row:
    our_median, keras_median = (statistics.median(map(seconds, runs)) for runs in (ours, keras))
    ratio, goal, name = keras_median / our_median, arguments.accuracy, f"`experiment={arguments.experiment}`"
    num_ours, num_keras = (sum(run.accuracy >= goal for run in runs) for runs in (ours, keras))
    said = f"{our_median:.1f} s" if math.isfinite(our_median) else "not reached"
    counts = f"reached with {num_ours} of {len(ours)} seeds, by Keras with {num_keras}"
    accuracies = ", ".join(f"{run.accuracy:.2%}" for run in ours)
    return Row(
        figure=f"{name} against Keras: time to {goal:.2%} test accuracy on MNIST, {what}",
        target=f"≥ {least}×",
        value=round(ratio, 2),
        shown=f"{ratio:.1f}× ({said} against {keras_median:.0f} s; {counts}; ours ended at {accuracies})",
        met=ratio >= least,
        seeds=f"seeds 0 to {len(ours) - 1}, medians" if len(ours) > 1 else "seed 0",
        details={"ours": [_finite(run) for run in ours], "keras": [_finite(run) for run in keras]},
    )


def _finite(run: Reached) -> dict[str, float | None]:
    """As JSON has it: null where the accuracy was not reached."""
    return {name: round(value, 4) if math.isfinite(value) else None for name, value in run._asdict().items()}


if __name__ == "__main__":
    main()
