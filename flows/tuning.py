"""The search for hyper-parameters: of whole trainings (`espalier sweep`), and around the trunk of a study."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flows.orchestration import task
from flows.study import Study
from flows.translation import varied_recipe
from modules.config import Variations
from modules.errors import TrainingError
from modules.recipe import Recipe
from modules.records import Part, Step, TrialResult
from modules.search.climbing import Climbed, Ground, Leg, climb, climb_anew
from modules.search.final import FinalTraining
from modules.search.plan import SWEEP_RUNGS, Plan
from modules.search.prior import Lesson
from modules.search.rungs import Rung, rungs_of
from modules.search.sampler import Asked, Sampler, importances
from modules.search.stopping import budget_allows
from modules.search.tries import Try, Tuning
from modules.space import Choice, Scalar, Space, Values
from modules.tracking.flattening import flattened
from modules.training.spec import Slice, Start, TrialSpec
from modules.workers.pool import WorkerDiedError

When = Literal["sweep", "before", "after"]
_OWN = "the configuration"
_KEPT = "this study, before its space changed"


@dataclass
class Search:
    """A search in a space while it runs: what is tried, from where, and what came of it."""

    study: Study
    when: When
    space: Space
    recipe: Recipe  # what the space varies
    rungs: tuple[Rung, ...]
    begin: Callable[[Recipe], Ground] = lambda recipe: Ground()  # what a try with a recipe begins with
    generation: int | None = None
    tries: list[Try] = field(default_factory=list)
    climbed: dict[int, Climbed] = field(default_factory=dict)  # by number; the complete ones

    def __post_init__(self) -> None:
        self.variations = Variations(self.study.settings.overrides)
        self.varies_schedule = any(key.split(".")[0] == "schedule" for key in self.space.keys)
        is_front = self.when == "sweep" and self.study.settings.objective.kind == "pareto"
        self.figures = ("loss", "params", "flops") if is_front else ("loss",)

    def sampler(self, space: Space, first: Sequence[Values]) -> Sampler:
        """Of this search, at its start."""
        return Sampler(space, self.study.settings.seed, len(self.rungs), len(self.figures), first)

    def run(self, is_enough: Callable[["Search"], bool]) -> Tuning:
        """Try one point after another."""
        first = self._first_points()
        sampler = self.sampler(self.space, [point for points in first.values() for point in points])
        while not is_enough(self):
            asked = sampler.ask()
            origin = first_of(first, asked)
            done, climbed = run_try(self.study, self, sampler, asked, self.when)
            self.tries.append(done.updated(origin=origin))
            if climbed is not None and done.state == "complete":
                self.climbed[done.number] = climbed
            self._show(self.tries[-1])
        return self.account()

    def account(self) -> Tuning:
        """Of what was tried so far."""
        return Tuning(
            when=self.when,
            space=self.space,
            figures=self.figures,
            rungs=tuple(rung.samples for rung in self.rungs),
            tries=tuple(self.tries),
            importances=importances(self.space, self.tries),
        )

    def recipe_at(self, values: Values) -> Recipe:
        """The recipe at a point; the rate comes from a range test where an optimiser comes without one."""
        settings = self.variations.settings(values)
        recipe = varied_recipe(self.recipe, settings, values, self.study.laboratory.data)
        if recipe.optimizer.target != self.recipe.optimizer.target and "training.learning_rate" not in values:
            if settings.training.learning_rate is None:
                recipe = recipe.updated(learning_rate=settings.training.default_learning_rate)
            if settings.training.learning_rate is None and settings.training.find_rate:
                found = self.study.laboratory.find_rate(recipe, self.study.settings.seed)
                recipe = recipe.updated(learning_rate=found.picked)
        return recipe

    def climbing(self, recipe: Recipe, train: Callable[[TrialSpec], TrialResult]) -> Iterator[Climbed]:
        """The way of a recipe over the rungs."""

        def leg(recipe: Recipe, piece: Slice, start: Start | None) -> Leg:
            spec = self.study.laboratory.spec(recipe, piece, self.study.seed(0), start)
            return spec, train(spec)

        retreats = self.study.settings.training.max_retreats
        if self.varies_schedule:
            return climb_anew(recipe, self.rungs, leg, retreats)
        return climb(recipe, self.rungs, self.begin(recipe), leg, retreats)

    def _first_points(self) -> dict[str, list[Values]]:
        """What is tried before anything is proposed, by where it comes from: settled once for a space.

        Where the space has changed since, the points that were tried in the old one and lie in the new one come first.
        """
        name = f"space-{self.when}.json"
        kept = self.study.folder.read(name)
        if kept is not None and Space.model_validate(kept["space"]) == self.space:
            return dict(kept["first"])
        first = {origin: points for origin, points in self._starting_points().items() if points}
        if kept is not None:
            first[_KEPT] = self._still_within(Space.model_validate(kept["space"]), kept["first"])
        self.study.folder.write(name, {"space": self.space.model_dump(mode="json"), "first": first})
        return first

    def _starting_points(self) -> dict[str, list[Values]]:
        own = self._own_point()
        if own is None:
            self.study.progress.say(
                f"the configuration itself lies outside the space {self.space.name}, and is not tried", "yellow"
            )
        first = {_OWN: [own] if own else []}
        for lesson in self.study.prior.winners(self.study.laboratory.data):
            point = self._point_of(lesson)
            if point is not None and all(point not in points for points in first.values()):
                first[f"study {lesson.study}"] = [point]
        taught = [origin.removeprefix("study ") for origin in first if origin != _OWN]
        if taught:
            self.study.learnt(
                f"space {self.when}", f"hyper-parameters: what studies {', '.join(taught)} ended with is tried first"
            )
        return first

    def _point_of(self, lesson: Lesson) -> Values | None:
        """Where the recipe of an earlier study lies in the space; None where it lies outside it."""
        own, values = self._own_point() or {}, dict[str, Any]()
        for parameter in self.space.parameters:
            if parameter.condition is not None and not parameter.condition.holds(values):
                continue
            key = parameter.key
            value = lesson.value_of(key)
            if value is None and isinstance(parameter, Choice) and hasattr(self.study.settings, key):
                value = next((one for one in parameter.values if self._is_same(lesson, key, one)), None)
            value = own.get(key) if value is None else value
            if not parameter.contains(value):
                return None
            values[key] = value
        return values

    def _is_same(self, lesson: Lesson, group: str, name: Scalar) -> bool:
        """Whether a study ended with a part of this name: with its class and arguments of the same names."""
        ours, theirs = getattr(self.variations.settings({group: name}), group), lesson.recipe.get(group)
        if not isinstance(ours, Part) or not isinstance(theirs, dict):
            return False
        return ours.target == theirs["target"] and set(ours.arguments) == set(theirs["arguments"])

    def _own_point(self) -> Values | None:
        known = {"training.learning_rate": self.recipe.learning_rate, "training.batch_size": self.recipe.batch_size}
        return self.variations.point(self.space, known)

    def _still_within(self, old: Space, first: dict[str, list[Values]]) -> list[Values]:
        """Asks the old space's sampler again, for as long as the store holds what it asked for."""
        for difference in self.space.differences(old):
            self.study.progress.say(f"the space has changed: {difference}", "yellow")
        before, found = Search(self.study, self.when, old, self.recipe, self.rungs, self.begin), []
        sampler = before.sampler(old, [point for points in first.values() for point in points])
        own = self._own_point()
        while True:
            asked = sampler.ask()
            try:
                _climb_up(before, sampler, asked, _found_only(self.study))
            except LookupError:
                break
            if self.space.contains(asked.values) and asked.values not in found and asked.values != own:
                found.append(asked.values)
        self.study.progress.say(f"{len(found)} points that were tried before lie within the new space")
        return found

    def _show(self, one: Try) -> None:
        said = "failed" if one.loss is None else f"loss {one.loss:.4f}"
        state = {"complete": "", "stopped": ", stopped", "failed": f": {one.reason}"}[one.state]
        shown = ", ".join(f"{key}={_short(value)}" for key, value in one.values.items())
        self.study.progress.say(f"try {one.number} ({shown}): {said}{state} after {one.samples:,} samples")
        if one.trials:
            self.study.show(one.trials[-1])


def first_of(first: dict[str, list[Values]], asked: Asked) -> str:
    """Where a point came from: the first ones are asked for in their order."""
    place = asked.number
    for origin, points in first.items():
        if place < len(points):
            return origin
        place -= len(points)
    return "proposed"


@task("{when}: try {asked.number}")
def run_try(study: Study, search: Search, sampler: Sampler, asked: Asked, when: When) -> tuple[Try, Climbed | None]:
    """Train at a point, rung after rung, until it falls behind."""
    parameters = flattened(asked.values)

    def train(spec: TrialSpec) -> TrialResult:
        edit = f"try {asked.number}"
        return study.trial(spec, when, search.generation, edit, parameters=parameters, shown=False)

    return _climb_up(search, sampler, asked, train)


def _climb_up(
    search: Search, sampler: Sampler, asked: Asked, train: Callable[[TrialSpec], TrialResult]
) -> tuple[Try, Climbed | None]:
    done: list[TrialResult] = []

    def counted(spec: TrialSpec) -> TrialResult:
        done.append(train(spec))
        return done[-1]

    climbed, state, reason = None, "complete", ""
    try:
        recipe = search.recipe_at(asked.values)
        for rung, climbed in enumerate(search.climbing(recipe, counted)):
            if sampler.should_stop(asked, rung, climbed.losses[-1]):
                state = "stopped"
                break
    except (TrainingError, WorkerDiedError) as error:
        search.study.count_failure()
        state, reason = "failed", str(error)
    one = _try_of(asked, state, reason, climbed, done)
    sampler.tell(asked, [getattr(one, name) for name in search.figures] if state == "complete" else None)
    return one, climbed


def _try_of(asked: Asked, state: Any, reason: str, climbed: Climbed | None, done: Sequence[TrialResult]) -> Try:
    last = climbed.result if climbed else None
    return Try(
        number=asked.number,
        values=asked.values,
        state=state,
        losses=climbed.losses if climbed else (),
        error=last.steer_error if last else None,
        params=last.params if last else 0,
        flops=last.flops if last else 0,
        samples=sum(trial.samples for trial in done),
        seconds=sum(trial.seconds for trial in done),
        trials=tuple(trial.key for trial in done),
        reason=reason,
    )


def _found_only(study: Study) -> Callable[[TrialSpec], TrialResult]:
    def find(spec: TrialSpec) -> TrialResult:
        found = study.laboratory.found(spec)
        if found is None:
            raise LookupError(spec.key)
        return found

    return find


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def sweep(study: Study, plan: Plan, recipe: Recipe) -> tuple[Tuning, dict[str, Climbed]]:
    """Whole trainings in the study's space, as many as the plan says; of them the best, or the front's members."""
    space = study.settings.search.space
    assert space is not None
    search = Search(study, "sweep", space, recipe, rungs_of(plan.try_samples, SWEEP_RUNGS))
    tuning = search.run(lambda search: _has_swept(study, plan, search))
    if tuning.best is None:
        reasons = [one.reason for one in tuning.tries if one.reason]
        raise TrainingError(
            f"none of the {len(tuning.tries)} tries of search.space={space.name} came to its end: "
            f"{reasons[-1] if reasons else 'all were stopped'}; allowed is a space with tamer values"
        )
    if len(tuning.figures) == 1:
        return tuning, {f"try {tuning.best.number}": search.climbed[tuning.best.number]}
    members = tuning.front[:: math.ceil(len(tuning.front) / study.settings.objective.front_size)]
    return tuning, {f"front {place}": search.climbed[one.number] for place, one in enumerate(members, start=1)}


def swept(first: Recipe, climbed: Climbed) -> FinalTraining:
    """A try of a sweep as what a study may end with, with the steps that lead to it."""
    legs = [*climbed.trunk, climbed.judged]
    steps = [
        Step(trial=result.key, seed=spec.seed, slice=spec.slice.model_dump(mode="json"), schedule=spec.recipe.schedule)
        for spec, result in legs
    ]
    steps[0] = steps[0].updated(recipe=legs[0][0].recipe.model_dump(mode="json"))
    return FinalTraining(climbed.judged[0].recipe, climbed.result, first.content_digest, tuple(steps))


def _has_swept(study: Study, plan: Plan, search: Search) -> bool:
    """Settled by samples; a clock that runs ahead of the plan is asked once for each try, and its answer kept."""
    tries = search.tries
    if plan.tries is not None and len(tries) >= plan.tries:
        return True
    complete = any(one.state == "complete" for one in tries)
    spent = sum(one.samples for one in tries)
    if complete and plan.tries is None and spent + search.rungs[0].samples > plan.sweep_samples:
        return True
    if plan.calibration is None or not complete:
        return False
    question = f"stop the sweep before try {len(tries)}"
    return bool(
        study.decided(question, lambda: not budget_allows(plan, study.clock.seconds, study.energy.wh, plan.try_samples))
    )
