"""A trial: the job that trains one recipe for one slice in a worker process and writes it to the store."""

import time
from pathlib import Path
from typing import Any

from modules.energy.meter import Meter, MeterChoice, metered
from modules.records import TrialResult
from modules.store import Store
from modules.training.processes import training_together
from modules.training.spec import TrialSpec
from modules.training.states import section, write_state
from modules.training.training import Training
from modules.workers.jobs import Report, job
from modules.workers.memory import reset_peak_memory


@job
def train_trial(spec: dict[str, Any], home: str, report: Report, meter: dict[str, Any] | None = None) -> dict[str, Any]:
    """Train the trial and put it into the store as `trials/<key>`; returns its TrialResult."""
    choice = MeterChoice.model_validate(meter or {})
    return run_trial(TrialSpec.model_validate(spec), Path(home), report, choice).model_dump(mode="json")


@job
def begin_trial(spec: dict[str, Any], home: str, report: Report, meter: dict[str, Any] | None = None) -> dict[str, Any]:
    """Train the trial to its first look at *steer*, kept as `looks/<key>`; `train_trial` goes on from there.

    What it ends with then are the bits of a training that never paused. One that has ended at that look is not gone on
    with but trained again: it is one batch long, or a target was reached.
    """
    trial = TrialSpec.model_validate(spec)
    store = Store(Path(home) / "store")
    with metered(MeterChoice.model_validate(meter or {})) as counting:
        training = _train(trial, Path(home), store, report, pauses=True, meter=counting)
        if training.stopping.reason is None:
            training.checkpoints.pause()
    look = training.history.curve[0].model_dump(mode="json")
    store.put("looks", trial.key, look)
    return look


@job
def train_along(spec: dict[str, Any], home: str, pauses: bool, rank: int, port: int, report: Report) -> dict[str, Any]:
    """What a sibling does while the first process trains a trial."""
    _train(TrialSpec.model_validate(spec), Path(home), Store(Path(home) / "store"), report, pauses, rank, port)
    return {}


def run_trial(spec: TrialSpec, home: Path, report: Report, choice: MeterChoice | None = None) -> TrialResult:
    """See `train_trial`."""
    started_at, clock = time.time(), time.monotonic()
    store = Store(home / "store")
    reset_peak_memory()
    with metered(choice) as meter:
        return _run_trial(spec, home, store, report, meter, started_at, clock)


def _run_trial(
    spec: TrialSpec, home: Path, store: Store, report: Report, meter: Meter | None, started_at: float, clock: float
) -> TrialResult:
    training = _train(spec, home, store, report, meter=meter)
    state = training.state()
    outputs = training.steer.outputs
    assert outputs is not None
    results: list[TrialResult] = []

    def fill(folder: Path) -> None:
        write_state(folder / "state.safetensors", state)
        write_state(folder / "weights.safetensors", section(state, "ema"))
        outputs.write(folder / "steer.safetensors")
        seconds = training.spent_before + time.monotonic() - clock
        results.append(training.result(started_at, seconds, folder))
        (folder / "recipe.json").write_text(spec.recipe.model_dump_json(indent=1))
        (folder / "result.json").write_text(results[0].model_dump_json(indent=1))

    store.put("trials", spec.key, {"key": spec.key}, fill)
    training.checkpoints.forget()
    return results[0]


def _train(
    spec: TrialSpec,
    home: Path,
    store: Store,
    report: Report,
    pauses: bool = False,
    rank: int = 0,
    port: int = 0,
    meter: Meter | None = None,
) -> Training:
    training = Training(spec, home, store, report, pauses, meter)
    along = {"spec": spec.model_dump(mode="json"), "home": str(home), "pauses": pauses}
    # The first has found its checkpoint, if there is one, before it asks its siblings: they find the same.
    with training_together(spec.numerics, home, "modules.training.trial.train_along", along, rank, port):
        training.fit()
    return training
