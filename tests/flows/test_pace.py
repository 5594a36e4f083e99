"""A budget of time goes by how fast trainings are now, and not by how fast the first network was."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows.experiment import stop_reason
from flows.tuning import Search
from modules.search.pace import seconds_left
from tests.made_up_plan import CALIBRATION, TIMED


@pytest.mark.parametrize(("seconds", "stops"), [(10.0, False), (40.0, True)])
def test_a_search_whose_network_became_slower_stops_earlier(seconds: float, stops: bool) -> None:
    decisions: dict[str, Any] = {}
    study: Any = SimpleNamespace(
        decided=lambda question, decide: decisions.setdefault(question, decide()),
        clock=SimpleNamespace(seconds=300.0),
        energy=SimpleNamespace(wh=0.0),
        settings=SimpleNamespace(
            budget=SimpleNamespace(target_error=None),
            search=SimpleNamespace(patience=None),
            objective=SimpleNamespace(is_pareto=False),
        ),
        progress=SimpleNamespace(say=lambda said, style="": None),
    )
    trial = SimpleNamespace(samples=1000, seconds=seconds)
    trained = SimpleNamespace(first=trial, evidence=SimpleNamespace(error=0.5))
    trunk: Any = SimpleNamespace(trained=trained, generations_in_vain=0)
    assert seconds_left(12.0, None, CALIBRATION, 300.0, 0.0) == 408.0
    assert (stop_reason(study, TIMED, trunk, (), 2) is not None) == stops
    trial.seconds = 1.0
    assert (stop_reason(study, TIMED, trunk, (), 2) is not None) == stops  # it is asked once


def test_a_sweep_goes_by_how_long_its_tries_took() -> None:
    tries = [
        SimpleNamespace(samples=1000, seconds=20.8, trials=("a",)),
        SimpleNamespace(samples=0, seconds=0, trials=()),
    ]
    search: Any = SimpleNamespace(tries=tries)
    assert Search.slowdown(search, TIMED) == pytest.approx(2.0)
