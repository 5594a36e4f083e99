"""What does a trial cost besides its training? A sweep of a thousand tries whose training is a look into a table.

    python -m benchmarks.thousand_trials            # 200 tries: some 3 minutes
    python -m benchmarks.thousand_trials --full     # 1,000

A study as a person runs it, with its store, its folder and MLflow's database on this disk, on digits. The worker is
replaced by a formula of the hyper-parameters that writes what a training would have written, as fast as this disk takes
it; one rung a try. What is timed is a try from the sampler's answer to the next question; the sampler, which is
Optuna's, is timed apart. The figure is the median over the first and the last tenth; memory is this process's.
"""

import argparse
import math
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import empty_home
from benchmarks.rows import Row, print_rows
from flows import experiment, reporting
from flows.opening import opened_study
from flows.study import Study
from flows.tuning import Search
from modules.config import resolve
from modules.evaluation.outputs import Outputs
from modules.records import CurvePoint, TrialResult
from modules.search.rungs import rungs_of
from modules.search.sampler import Asked, Sampler
from modules.training.spec import TrialSpec

_MOST_MS = 50.0
_FULL, _QUICK = 1000, 200
_IMAGES = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="1,000 tries")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the study in")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="such as tracking.enabled=false")
    arguments = parser.parse_intermixed_args()
    tries = _FULL if arguments.full else _QUICK
    with empty_home(arguments.keep) as home:
        own, sampling, memory = _timed_study(home, tries, arguments.overrides)
    print_rows(_rows(own, sampling, memory))


def _timed_study(home: Path, tries: int, overrides: list[str]) -> tuple[list[float], list[float], list[int]]:
    """Seconds of each try without the sampler and the table's part, of the sampler, and bytes after each."""
    settings = resolve(
        ["search=sweep", f"search.tries={tries}", "orchestrator=inline", "training.find_rate=false", *overrides]
    )
    own: list[float] = []
    sampling: list[float] = []
    memory: list[int] = []
    with opened_study(settings, home, "benchmarks.thousand_trials") as study:
        data = experiment.load_data(study)
        recipe = experiment.augment_data(study, experiment.select_data(study, data))
        reporting.track_start(study, recipe)
        table = _Table(study)
        study.laboratory.train = table.train  # type: ignore[method-assign]
        space = settings.search.space
        assert space is not None
        search = Search(study, "sweep", space, recipe, rungs_of(1000, 1))
        clock = _Clock(search, own, sampling, memory, table)
        search.sampler = clock.sampler  # type: ignore[method-assign]
        search.run(lambda search: int(len(search.tries) < tries))
    return own, sampling, memory


class _Clock:
    """Notes when the sampler is asked and when it has answered."""

    def __init__(
        self, search: Search, own: list[float], sampling: list[float], memory: list[int], table: "_Table"
    ) -> None:
        self.search, self.own, self.sampling, self.memory, self.table = search, own, sampling, memory, table
        self.answered: float | None = None
        self.told = 0.0

    def sampler(self, space: Any, first: Any) -> Sampler:
        """As the search makes it, with a watch on it."""
        made = Search.sampler(self.search, space, first)
        ask, tell = made.ask, made.tell

        def timed_ask() -> Asked:
            begun = time.perf_counter()
            if self.answered is not None:
                self.own.append(begun - self.answered - self.told - self.table.seconds)
                self.memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
            asked = ask()
            self.answered, self.table.seconds = time.perf_counter(), 0.0
            self.sampling.append(self.answered - begun)
            return asked

        def timed_tell(asked: Asked, figures: Any) -> None:
            begun = time.perf_counter()
            tell(asked, figures)
            self.told = time.perf_counter() - begun

        made.ask, made.tell = timed_ask, timed_tell  # type: ignore[method-assign]
        return made


class _Table:
    """The place of a worker: losses by formula, and files as a training leaves them, only smaller."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.seconds = 0.0

    def train(self, spec: TrialSpec, report: Callable[[dict[str, Any]], None]) -> TrialResult:
        """What `Laboratory.train` gives back."""
        begun = time.perf_counter()
        loss = 0.1 + abs(math.log10(spec.recipe.learning_rate / 0.01)) + spec.recipe.label_smoothing
        key, now = spec.key, time.time()
        point = CurvePoint(
            samples=spec.slice.samples,
            epoch=1.0,
            learning_rate=spec.recipe.learning_rate,
            batch_size=spec.recipe.batch_size,
            train_loss=loss,
            steer_loss=loss,
            steer_error=0.1,
            seconds=1.0,
        )
        result = TrialResult(
            key=key,
            recipe=spec.recipe.content_digest,
            seed=spec.seed,
            state_sha256=key * 2,
            weights_sha256=key * 2,
            samples=spec.slice.samples,
            epochs=1.0,
            updates=1,
            params=1,
            flops=1,
            seconds=1.0,
            started_at=now,
            finished_at=now,
            peak_memory_bytes=1,
            stopped_by="a table",
            steer_loss=loss,
            steer_error=0.1,
            curve=(point,),
        )

        def fill(folder: Path) -> None:
            seen = Outputs(
                np.full(_IMAGES, loss, np.float32), np.ones((_IMAGES, 1), np.float32), np.zeros(_IMAGES, int)
            )
            seen.write(folder / "steer.safetensors")
            (folder / "result.json").write_text(result.model_dump_json(indent=1))

        self.study.laboratory.store.put("trials", key, {"key": key}, fill)
        self.seconds += time.perf_counter() - begun
        return result


def _rows(own: list[float], sampling: list[float], memory: list[int]) -> list[Row]:
    tenth = max(1, len(own) // 10)
    first, last = (1000 * statistics.median(part) for part in (own[:tenth], own[-tenth:]))
    grown = (memory[-1] - memory[tenth]) / 2**20
    asked = 1000 * statistics.median(sampling[-tenth:])
    details = {"own_ms": [1000 * each for each in own], "sampling_ms": [1000 * each for each in sampling]}
    said = f"seed 0, {len(own) + 1} tries"
    return [
        Row(
            figure="our own time a trial, the sampler apart: first and last tenth",
            target=f"≤ {_MOST_MS:g} ms, flat",
            value=round(last, 2),
            shown=f"{first:.1f} and {last:.1f} ms (the sampler: {asked:.0f} ms)",
            met=last <= _MOST_MS and last <= 1.5 * first,
            seeds=said,
            details=details,
        ),
        Row(
            figure="memory that the study's process gained from the first tenth of the trials to the last",
            target="≤ 50 MiB",
            value=round(grown, 1),
            shown=f"{grown:.0f} MiB",
            met=grown <= 50,
            seeds=said,
        ),
    ]


if __name__ == "__main__":
    main()
