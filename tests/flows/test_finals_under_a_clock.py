"""When a winner is trained from scratch too, and for how long what it ends with is trained; without a worker."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows import finals
from modules.config import resolve
from modules.records import TrialResult
from modules.search.generation import Trained, Trunk
from modules.search.pace import RESERVED_SECONDS
from modules.search.plan import Plan
from tests.made_up_plan import CLOCKLESS, TIMED
from tests.unit.tiny_study import tiny_recipe

FIRST, EDITED = tiny_recipe(), tiny_recipe(learning_rate=0.02)
OPEN, BOUND = TIMED.updated(may_grow=True), TIMED.updated(may_grow=False)
NO_EDIT = "no edit was kept, so that the winner is trained on and not from scratch"


class FakeStudy:
    """A study of so many images as far as the lengths of its final trainings go."""

    def __init__(self, *overrides: str, num_train: int = 400, seconds_left: float = 250.0) -> None:
        self.settings = resolve(overrides)
        self.clock = SimpleNamespace(seconds=720.0 - RESERVED_SECONDS - seconds_left)
        self.energy = SimpleNamespace(wh=0.0)
        self.laboratory = SimpleNamespace(num_selected=lambda recipe: num_train)
        self.decisions: dict[str, Any] = {}
        self.said: list[str] = []
        self.progress = SimpleNamespace(say=lambda said, style="": self.said.append(said))

    def decided(self, question: str, decide: Any) -> Any:
        if question not in self.decisions:
            self.decisions[question] = decide()
        return self.decisions[question]


@pytest.fixture(autouse=True)
def done(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The samples of each final training, by its name."""
    lengths: dict[str, int] = {}
    monkeypatch.setattr(finals, "_cool_down", lambda *given: lengths.update(continued=given[3]))
    monkeypatch.setattr(finals, "_begun_anew", lambda *given: lengths.update({given[5]: given[3]}))
    monkeypatch.setattr(finals, "_trained_each", lambda study, ways: [way(None) for way in ways.values()])
    monkeypatch.setattr(finals, "confirm_final", lambda *given: None)
    return lengths


def end(study: FakeStudy, plan: Plan, recipe: Any = EDITED) -> None:
    """At the pace that was calibrated, 100 samples a second."""
    trial = TrialResult.model_construct(key="trunk", samples=1000, seconds=10.0)
    trunk = Trunk(Trained(recipe, (trial,), None), 0)  # type: ignore[arg-type]
    finals.train_final(study, plan, trunk, [], FIRST)  # type: ignore[arg-type]


def test_an_edited_network_is_trained_from_scratch_where_there_is_time(done: dict[str, int]) -> None:
    study = FakeStudy()
    end(study, BOUND)
    assert done == {"continued": 10_000, "from scratch": 10_000}
    assert study.said == []


@pytest.mark.parametrize(
    ("overrides", "plan", "expected"),
    [
        ([], OPEN, 23_750),  # all the time that is left
        (["budget.samples=100000"], BOUND, 20_000),
        (["search.final_samples=10000"], BOUND, 10_000),
        (["training.max_epochs=25"], BOUND, 10_000),
    ],
)
def test_under_a_clock_what_was_not_edited_is_trained_on_alone(
    done: dict[str, int], overrides: list[str], plan: Plan, expected: int
) -> None:
    study = FakeStudy(*overrides)
    end(study, plan, FIRST)
    assert done == {"continued": expected}
    assert study.said[0] == NO_EDIT


@pytest.mark.parametrize(
    ("overrides", "plan", "expected"),
    [
        ([], OPEN, 14_250),
        (["budget.samples=100000"], BOUND, 14_250),
        (["search.final_samples=10000"], BOUND, 10_000),
    ],
)
def test_where_little_time_is_left_all_of_it_goes_to_training_on(
    done: dict[str, int], overrides: list[str], plan: Plan, expected: int
) -> None:
    study = FakeStudy(*overrides, seconds_left=150.0)
    for _ in range(2):
        end(study, plan)
        assert done == {"continued": expected}
        study.clock.seconds = 0.0  # what was decided is not decided again
    expected_sentence = "two final trainings could have 17.8 epochs each, fewer than 20, so that"
    assert study.said[0].startswith(expected_sentence)


@pytest.mark.parametrize("recipe", [FIRST, EDITED])
def test_without_a_clock_both_are_trained_as_planned(done: dict[str, int], recipe: Any) -> None:
    study = FakeStudy(num_train=10_000)
    end(study, CLOCKLESS.updated(may_grow=False), recipe)
    assert done == {"continued": 10_000, "from scratch": 10_000}
    assert study.said == []
