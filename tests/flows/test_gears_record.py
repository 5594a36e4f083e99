"""What the ledger says the study goes on from after gears were judged by folds, without a worker."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows import gears
from modules.records import GenerationRecord
from modules.search.generation import Trained, Trunk
from modules.training.spec import Slice
from tests.unit.tiny_study import tiny_recipe


def test_where_nothing_is_kept_the_study_goes_on_from_its_own_head(monkeypatch: pytest.MonkeyPatch) -> None:
    trial: Any = SimpleNamespace
    head = Trained(tiny_recipe(), (trial(key="head"),), None)  # type: ignore[arg-type]
    control = Trained(tiny_recipe(), (trial(key="head of fold 2"),), None)  # type: ignore[arg-type]
    record = GenerationRecord(
        number=1, parent="", winner="", winner_trial=control.first.key, rows=(), smallest_effect=None, noise=0.1
    )
    monkeypatch.setattr(gears, "record_generation", lambda *arguments: record)
    monkeypatch.setattr(gears, "confirmation_of", lambda *arguments: None)
    for name in ("write_ledger", "say_generation"):
        monkeypatch.setattr(gears.reporting, name, lambda *arguments: None)
    comparison: Any = SimpleNamespace(trunk=Trunk(head, 0), control=control)
    judged: Any = SimpleNamespace(kept=None)
    piece = Slice(samples=1, evaluate_every=1)
    trunk = gears.record_gears(None, comparison, [], judged, None, piece, 1)  # type: ignore[arg-type]
    assert trunk.generations[-1].winner_trial == "head"
    assert trunk.trained is head
