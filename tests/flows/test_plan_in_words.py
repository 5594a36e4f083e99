"""What is said of a plan before it is done, and of why it ended."""

from types import SimpleNamespace

import pytest

from flows.reporting import _stop_reason, say_plan
from modules.search.plan import Plan

NONE = dict.fromkeys(
    ("baseline_samples", "generations", "edits_per_generation", "slice_samples", "continued_samples"), 0
)
SWEEP = Plan(**NONE, scratch_samples=0, evaluate_every=1, try_samples=900, sweep_samples=90_000, note="its note")
SEARCH = Plan(
    baseline_samples=1000, generations=2, edits_per_generation=3, slice_samples=500, continued_samples=1000,
    scratch_samples=1000, evaluate_every=100,
)  # fmt: skip


def said(plan: Plan) -> str:
    lines: list[str] = []
    progress = SimpleNamespace(console=SimpleNamespace(print=lines.append))
    data = SimpleNamespace(num_images={"train": 1000})
    say_plan(SimpleNamespace(laboratory=SimpleNamespace(data=data), progress=progress), plan)  # type: ignore[arg-type]
    return lines[0]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (SWEEP.updated(tries=30), "at most 30 tries, 90,000 samples"),
        (SWEEP, "as many tries as there is room for, 90,000 samples"),
        (SEARCH, "at most 15 trials, 9,000 samples"),
        (
            SEARCH.updated(race_samples=1000, tuning_before_samples=2000),
            "at most 15 trials besides those of the race and hyper-parameters, 12,000 samples",
        ),
    ],
)
def test_a_plan_says_how_many_trials_it_knows_of(plan, expected):
    assert said(plan).startswith(expected)


def test_a_sweep_that_ended_before_its_plan_says_why():
    tuning = {"when": "sweep", "space": {"name": "mine", "parameters": []}}
    files = {"tuning-sweep.json": tuning}
    study = SimpleNamespace(folder=SimpleNamespace(read=files.get))
    assert _stop_reason(study, SWEEP) == "all tries of the plan were made (its note)"  # type: ignore[arg-type]
    files["tuning-sweep.json"] = {**tuning, "ended_by": "the target was reached"}
    assert _stop_reason(study, SWEEP) == "the target was reached"  # type: ignore[arg-type]
