"""Limits that a first network exceeds: what can be shrunk, what cannot, and what no plan leaves room for."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows.limits import check_limits, check_shrinks, halvings_of, narrowest
from modules.config import resolve
from modules.errors import ConfigError
from tests.unit.tiny_study import tiny_architecture

NETWORK = tiny_architecture()


def study_with(*overrides: str) -> Any:
    said: list[str] = []
    return SimpleNamespace(
        settings=resolve(overrides),
        laboratory=SimpleNamespace(latency_ms=lambda architecture: 1.0),
        progress=SimpleNamespace(say=lambda text, style="": said.append(text)),
        said=said,
    )


def plan_of(generations: int, try_samples: int = 0) -> Any:
    return SimpleNamespace(generations=generations, try_samples=try_samples)


def test_what_can_be_narrowed_so_far_has_to_shrink_first() -> None:
    study = study_with(f"objective.max_params={narrowest(NETWORK).params}")
    check_limits(study, NETWORK)
    assert study.said[0].endswith("it has to shrink first")


@pytest.mark.parametrize("name", ["params", "flops"])
def test_a_limit_that_narrowing_cannot_meet_names_what_could(name: str) -> None:
    least = getattr(narrowest(NETWORK), name)
    with pytest.raises(ConfigError, match=rf"narrowed as far as it goes it still has .*{least:,}"):
        check_limits(study_with(f"objective.max_{name}={least - 1}"), NETWORK)


def test_a_plan_without_generations_shrinks_nothing() -> None:
    study = study_with(f"objective.max_params={NETWORK.params - 1}")
    with pytest.raises(ConfigError, match=r"above objective\.max_params=.* no generation .* search\.generations=1"):
        check_shrinks(study, plan_of(0), NETWORK)
    check_shrinks(study, plan_of(1), NETWORK)
    check_shrinks(study, plan_of(0, try_samples=10), NETWORK)  # a sweep tries what is within
    check_shrinks(study_with(), plan_of(0), NETWORK)


@pytest.mark.parametrize(
    ("limit", "halvings"),
    [(NETWORK.params, 0), (NETWORK.params - 1, 1), (-(-NETWORK.params // 2), 1), (-(-NETWORK.params // 4), 2)],
)
def test_how_often_a_network_has_to_be_halved(limit: int, halvings: int) -> None:
    assert halvings_of(study_with(f"objective.max_params={limit}"), NETWORK) == halvings
    assert halvings_of(study_with(), NETWORK) == 0
