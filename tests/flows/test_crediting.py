"""What a variant of a study is said to have cost, without a worker."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flows import credit


@pytest.mark.parametrize(("last", "expected"), [(0.5, 0.875), (None, None)])
def test_energy_and_seconds_are_those_of_all_trials(
    monkeypatch: pytest.MonkeyPatch, last: float | None, expected: float | None
) -> None:
    """Also of the baseline and of what was stopped on the way, which are in no row of the ledger."""
    results = [SimpleNamespace(seconds=2.0, energy_wh=wh) for wh in (0.25, 0.125, last)]
    architecture = SimpleNamespace(params=10)
    winner = SimpleNamespace(
        seen=SimpleNamespace(wrong=np.array([True, False])), recipe=SimpleNamespace(architecture=architecture)
    )
    monkeypatch.setattr(
        credit, "find_winner", lambda study: SimpleNamespace(final=SimpleNamespace(winner=winner, rows=()))
    )
    written: dict[str, Any] = {}
    study: Any = SimpleNamespace(
        runs={str(place): SimpleNamespace(result=result) for place, result in enumerate(results)},
        clock=SimpleNamespace(now=0.0),
        folder=SimpleNamespace(write=lambda name, content: written.update({name: content})),
    )
    credit._ablation_flow(study)
    ended = written["ended.json"]
    assert (ended["wrong"], ended["seconds"], ended["energy_wh"]) == ([1, 0], 6.0, expected)
