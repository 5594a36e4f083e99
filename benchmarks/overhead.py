"""What does all around the training cost? Trials that are looked up in a table, through Prefect, the store and MLflow.

    python -m benchmarks.overhead                   # 200 trials on SQLite, some 2 minutes
    python -m benchmarks.overhead --full            # 1,000 trials, with the picture docs/overhead.svg
    python -m benchmarks.overhead --uri postgresql+psycopg2://…   # MLflow elsewhere; likewise PREFECT_API_URL
    python -m benchmarks.overhead --orchestrator inline           # without Prefect: the difference is its own

Everything is what a study does: a task run a trial, an entry of the store written and flushed, the trial noted, its run
in MLflow. Only the training is not there. The seconds of opening and closing the study are not counted.
"""

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.commands import empty_home
from benchmarks.rows import Row, print_rows
from flows.experiment import augment_data, load_data, select_data
from flows.opening import opened_study
from flows.orchestration import Orchestrator, prepare, run_flow
from flows.study import Study
from flows.trials import train_trial
from modules.config import resolve
from modules.records import CurvePoint, Numerics, TrialResult
from modules.store import Store
from modules.training.spec import Slice, TrialSpec
from modules.workers.jobs import Report

_MOST_MS = 50.0
_QUICK, _FULL, _STEP = 200, 1000, 100
_POINTS = 12  # of a trial's curve
_PICTURE = Path("docs/overhead.svg")
_NUMERICS = Numerics(torch="table", cpu_capability="table", threads=1, precision="float32", channels_last=True)


class Table:
    """Workers that know every result beforehand."""

    size = 1

    def __init__(self, home: Path) -> None:
        self.store = Store(home / "store")

    def call(self, job: str, arguments: dict[str, Any], report: Report = lambda progress: None) -> dict[str, Any]:
        """A trial's result, in the store as a worker puts it there."""
        if job.endswith("describe_numerics"):
            return _NUMERICS.model_dump(mode="json")
        spec = TrialSpec.model_validate(arguments["spec"])
        result = _looked_up(spec)

        def fill(folder: Path) -> None:
            (folder / "recipe.json").write_text(spec.recipe.model_dump_json(indent=1))
            (folder / "result.json").write_text(result.model_dump_json(indent=1))

        self.store.put("trials", spec.key, {"key": spec.key}, fill)
        return result.model_dump(mode="json")

    def close(self) -> None:
        """Nothing is under way."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help=f"{_FULL:,} trials instead of {_QUICK}, and the picture")
    parser.add_argument("--uri", help="of MLflow (default: SQLite in the home)")
    parser.add_argument("--orchestrator", choices=["prefect", "inline"], default="prefect")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the home in")
    arguments = parser.parse_args()
    count = _FULL if arguments.full else _QUICK
    orchestrator: Orchestrator = arguments.orchestrator
    settings = resolve(["study=overhead", *([f"tracking.uri='{arguments.uri}'"] if arguments.uri else [])])
    with empty_home(arguments.keep) as home:
        prepare(orchestrator, home)
        with opened_study(settings, home, "benchmarks.overhead") as study:
            study.pool.close()
            study.pool = Table(home)
            ends = run_flow(
                lambda: _train(study, count), orchestrator=orchestrator, home=home, name="overhead", run_name="overhead"
            )
    each = [(after - before) * 1000 / _STEP for before, after in itertools.pairwise(ends)]
    if arguments.full:
        _draw(each)
    where = arguments.uri.partition(":")[0] if arguments.uri else "SQLite"
    print_rows(
        _rows(each, count, where, "Prefect, store and MLflow" if orchestrator == "prefect" else "store and MLflow")
    )
    print(json.dumps({"ms_a_trial_by_hundreds": [round(one, 1) for one in each]}))


def _train(study: Study, count: int) -> list[float]:
    """The times at which each hundred was done, the start before them."""
    data = load_data(study)
    recipe = augment_data(study, select_data(study, data))
    from flows import reporting

    reporting.track_start(study, recipe)
    say = study.progress.say
    study.progress.say = _silent  # type: ignore[method-assign]
    ends = [time.monotonic()]
    for seed in range(count):
        spec = study.laboratory.spec(recipe, Slice(samples=1000, evaluate_every=100), seed)
        train_trial(study, spec, "table")
        if (seed + 1) % _STEP == 0:
            ends.append(time.monotonic())
    study.progress.say = say  # type: ignore[method-assign]
    return ends


def _silent(text: str, style: str = "") -> None:
    pass


def _looked_up(spec: TrialSpec) -> TrialResult:
    now = time.time()
    curve = tuple(
        CurvePoint(
            samples=100 * point,
            epoch=point / 10,
            learning_rate=0.01,
            batch_size=64,
            train_loss=1 / point,
            steer_loss=1 / point,
            steer_error=0.1 / point,
            seconds=float(point),
        )
        for point in range(1, _POINTS + 1)
    )
    return TrialResult(
        key=spec.key,
        recipe=spec.recipe.content_digest,
        seed=spec.seed,
        state_sha256="0" * 64,
        weights_sha256="0" * 64,
        samples=1000,
        epochs=1.0,
        updates=16,
        params=1,
        flops=1,
        seconds=1.0,
        started_at=now - 1,
        finished_at=now,
        peak_memory_bytes=1,
        stopped_by="samples",
        steer_loss=1.0,
        steer_error=0.1,
        curve=curve,
    )


def _rows(each: Sequence[float], count: int, where: str, what: str) -> list[Row]:
    mean = sum(each) / len(each)
    whole = Row(
        figure=f"{count:,} trials from a table through {what} ({where}): overhead a trial",
        target=f"≤ {_MOST_MS:.0f} ms",
        value=round(mean, 1),
        shown=f"{mean:.0f} ms, {mean * count / 1000:.0f} s in all",
        met=mean <= _MOST_MS,
        seeds="–",
    )
    growth = Row(
        figure=f"{count:,} trials from a table ({where}): the last hundred against the first",
        target="–",
        value=round(each[-1] / each[0], 2),
        shown=f"{each[-1] / each[0]:.2f}× ({each[0]:.0f} to {each[-1]:.0f} ms a trial)",
        met=True,
        seeds="–",
    )
    return [whole, growth]


def _draw(each: Sequence[float]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot([_STEP * (place + 1) for place in range(len(each))], each, marker="o")
    axes.set(xlabel="trials so far", ylabel="ms a trial, of the last hundred", ylim=(0, None))
    figure.savefig(_PICTURE)


if __name__ == "__main__":
    main()
