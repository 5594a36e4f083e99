"""A study as far as a search for hyper-parameters goes: a training is a formula, which fails for some points."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from flows.points import Points
from flows.tuning import Search
from modules.errors import TrainingError
from modules.search.climbing import Climbed
from modules.search.failed import Failed
from modules.search.rungs import rungs_of
from modules.space import Real, Space

RUNGS = rungs_of(900, 3)
SPACE = Space(name="made-up", parameters=(Real(key="rate", low=1e-4, high=1.0, log=True), Real(key="x", low=0, high=1)))
IN_TURN = lambda calls: [call() for call in calls]  # noqa: E731


class FormulaStudy:
    """Its store is a mapping, its folder another one."""

    def __init__(self, each: Any = IN_TURN, at_once: int = 1, workers: int = 1) -> None:
        objective, budget = SimpleNamespace(kind="accuracy"), SimpleNamespace(target_error=None)
        search = SimpleNamespace(tries_at_once=at_once)
        sections = {"objective": objective, "budget": budget, "search": search, "runner": SimpleNamespace(address=None)}
        self.settings = SimpleNamespace(overrides=(), seed=0, has_default_schedule=True, **sections)
        self.pool = SimpleNamespace(size=workers)
        self.progress = SimpleNamespace(say=lambda said, style="": self.said.append(said))
        self.said: list[str] = []
        self.failed = 0
        self.each = each
        self.decisions: dict[str, Any] = {}
        self.clock, self.energy = SimpleNamespace(seconds=0.0), SimpleNamespace(wh=0.0)
        self.store: dict[str, Any] = {}
        self.trained: list[str] = []
        self.laboratory = SimpleNamespace(
            found=lambda spec: self.store.get(spec.key), data=None, steer_loss=lambda trial: trial.steer_loss
        )
        files: dict[str, Any] = {}
        self.folder = SimpleNamespace(read=files.get, write=files.__setitem__)
        self.prior = SimpleNamespace(winners=lambda data: ())

    def trial(self, spec: Any, *place: Any, **shown: Any) -> Any:
        if spec.key not in self.store:
            self.store[spec.key] = self.train(spec)
        return self.store[spec.key]

    def train(self, spec: Any) -> Any:
        self.trained.append(spec.key)
        if spec.values["x"] > 0.9:
            raise TrainingError("its loss exploded")
        loss = abs(math.log10(spec.values["rate"] / 0.01)) + 0.3 / (spec.rung + 1)
        return SimpleNamespace(
            key=spec.key, steer_loss=loss, steer_error=loss / 10, params=1, flops=1, seconds=1.0,
            samples=RUNGS[spec.rung].trunk + RUNGS[spec.rung].cooled,
        )  # fmt: skip

    def show(self, key: str) -> None:
        pass

    def learnt(self, what: str, sentence: str) -> None:
        self.said.append(sentence)

    def count_failure(self) -> None:
        self.failed += 1

    def has_decided(self, question: str) -> bool:
        return question in self.decisions

    def decided(self, question: str, decide: Any) -> Any:
        return self.decisions[question] if question in self.decisions else self.decisions.setdefault(question, decide())


def search_by_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """A point is its own recipe, and each rung a training of its own."""

    def climbing(search: Search, recipe: Any, train: Any) -> Any:
        branches: tuple[Any, ...] = ()
        for rung in range(len(RUNGS)):
            spec = SimpleNamespace(values=recipe, rung=rung, key=f"{recipe}-{rung}")
            came = train(spec)
            if isinstance(came, Failed):
                yield came
                return
            branches = (*branches, (spec, came))
            yield Climbed((), branches)

    monkeypatch.setattr(Points, "recipe_at", lambda points, values: values)
    monkeypatch.setattr(Search, "climbing", climbing)
