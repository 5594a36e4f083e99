"""Which of a generation's edits go on after half a slice, where limits ask for some; without a worker."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows import generations
from flows.generations import Generation
from modules.config import resolve
from modules.records import CurvePoint
from modules.search.generation import Trained, Trunk
from modules.search.laboratory import Inherited
from modules.search.proposal import Proposal
from tests.made_up_plan import CLOCKLESS
from tests.unit.search.test_generation import CONTROL, recipe
from tests.unit.tiny_study import ADAMW

MOST = recipe(6).architecture.params


def look(loss: float) -> CurvePoint:
    names = ("samples", "epoch", "learning_rate", "batch_size", "train_loss", "steer_error", "seconds")
    return CurvePoint(**dict.fromkeys(names, 1), steer_loss=loss)  # type: ignore[arg-type]


def gone_on(monkeypatch: pytest.MonkeyPatch, *overrides: str) -> list[str]:
    """Of two edits that widen and two that narrow, at some loss."""
    losses = {"wide": 0.9, "wider": 0.95, "narrow": 1.4, "narrower": 1.6}
    channels = {"wide": 10, "wider": 12, "narrow": 6, "narrower": 4}
    study: Any = SimpleNamespace(
        settings=resolve(overrides),
        both=lambda one, other: (one(), other()),
        each=lambda calls: [call() for call in calls],
        laboratory=SimpleNamespace(latency_ms=lambda architecture: 1.0),
    )
    monkeypatch.setattr(generations, "begin_control", lambda generation: look(1.0))
    monkeypatch.setattr(generations, "begin_child", lambda generation, proposal, edited: look(losses[proposal.name]))
    fitting = [
        (Proposal(name=name, edit=ADAMW, reason=""), Inherited(recipe(count), None, None, "done"))  # type: ignore[arg-type]
        for name, count in channels.items()
    ]
    trunk = Trunk(Trained(recipe(), CONTROL.trials, CONTROL.evidence), 0)
    chosen, given_up = generations.halve_edits(Generation(study, CLOCKLESS, trunk, 1), fitting)
    assert len(given_up) == 2
    return [proposal.name for proposal, _ in chosen]


def test_the_best_of_what_a_limit_demands_goes_on_though_others_promise_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gone_on(monkeypatch) == ["wide", "wider"]
    assert gone_on(monkeypatch, f"objective.max_params={MOST}") == ["wide", "narrow"]


def test_a_front_demands_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gone_on(monkeypatch, f"objective.max_params={MOST}", "objective=pareto") == ["wide", "wider"]
