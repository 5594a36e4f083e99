"""The search for hyper-parameters: of whole trainings (`espalier sweep`), and around the trunk of a study."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from flows.decisions import Question
from flows.orchestration import task
from flows.points import Points, space_on_data
from flows.study import Study
from flows.trials import attempted
from modules.digests import digest_of
from modules.errors import TrainingError
from modules.recipe import Recipe
from modules.records import TrialResult
from modules.search.climbing import Climbed, Ground, Leg, climb, climb_anew, first_step, next_step
from modules.search.failed import Failed
from modules.search.final import FinalTraining
from modules.search.plan import SWEEP_RUNGS, Plan
from modules.search.rungs import Rung, cost, rungs_of
from modules.search.sampler import Asked, Sampler, conditional_importances, importances
from modules.search.stopping import budget_allows, slowdown_of
from modules.search.tries import State, Try, Tuning
from modules.space import Space, Values
from modules.tracking.flattening import flattened
from modules.training.spec import Slice, Start, TrialSpec

When = Literal["sweep", "before", "after"]
_KEPT = "this study, before its space changed"
_NOT_THERE = "the store does not hold it"


@dataclass
class Search:
    """A search in a space while it runs: what is tried, from where, and what came of it."""

    study: Study
    when: When
    space: Space
    recipe: Recipe  # what the space varies
    rungs: tuple[Rung, ...]
    begin: Callable[[Recipe], Ground | Failed] = lambda recipe: Ground()  # what a try with a recipe begins with
    generation: int | None = None
    tries: list[Try] = field(default_factory=list)
    climbed: dict[int, Climbed] = field(default_factory=dict)  # by number; the complete ones
    ended_by: str = ""  # why no more were tried, where that is not the plan

    def __post_init__(self) -> None:
        self.points = Points(self.study, self.space, self.recipe)
        varies_schedule = any(key.split(".")[0] == "schedule" for key in self.space.keys)
        asked_for = self.when == "sweep" and not self.study.settings.has_default_schedule
        self.trains_whole_schedules = varies_schedule or asked_for
        is_front = self.when == "sweep" and self.study.settings.objective.kind == "pareto"
        self.figures = ("loss", "params", "flops") if is_front else ("loss",)

    @property
    def paid(self) -> list[Try]:
        """The tries that the plan pays for: not those that were trained before the space changed."""
        return [one for one in self.tries if one.origin != _KEPT]

    @property
    def samples(self) -> int:
        """What its tries have cost, a first rung at least each, so that a space in which all fail comes to an end."""
        least = cost(self.rungs[:1])
        return sum(max(one.samples, least) for one in self.paid)

    def slowdown(self, plan: Plan) -> float:
        """How many times as long as was calibrated its tries took: a space may hold slower networks."""
        samples, seconds = (sum(getattr(one, name) for one in self.tries) for name in ("samples", "seconds"))
        return slowdown_of(plan, samples, seconds, sum(len(one.trials) for one in self.tries))

    def sampler(self, space: Space, first: Sequence[Values]) -> Sampler:
        """Of this search, at its start; a second search of a study does not ask what the first one asked."""
        seed = self.study.settings.seed
        seed = seed if self.when == "sweep" else int(digest_of([seed, self.when])[:16], 16)
        return Sampler(space, seed, len(self.rungs), len(self.figures), first)

    def run(self, how_many: "HowMany") -> Tuning:
        """Try points, so many side by side as may begin, until none may."""
        first = self._first_points(how_many)
        _say_idle_workers(self.study)
        for tries in self._batches(first, how_many, partial(_climb_side_by_side, self.study)):
            for one in tries:
                self._show(one)
        return self.account()

    def _batches(
        self, first: dict[str, list[Values]], how_many: "HowMany", climb: "ClimbAll"
    ) -> Iterator[Sequence[Try]]:
        """Batch after batch. What is asked follows from how many may begin, and not from who is done first."""
        sampler = self.sampler(self.space, [point for points in first.values() for point in points])
        while count := self._num_kept_next(first) or how_many(self):
            ways = [Way(self, sampler.ask()) for _ in range(count)]
            _climb_up(ways, sampler, climb)
            tries = [way.account(first_of(first, way.asked)) for way in ways]
            self.climbed |= {way.asked.number: way.climbed for way in ways if way.climbed and way.state == "complete"}
            self.tries += tries
            yield tries

    def _num_kept_next(self, first: dict[str, list[Values]]) -> int:
        """How many of the points that were kept come next together: they are the last of the first ones."""
        ahead = max(0, sum(map(len, first.values())) - len(self.tries))
        return min(ahead, self.study.settings.search.tries_at_once) if ahead <= len(first.get(_KEPT, [])) else 0

    def account(self) -> Tuning:
        """Of what was tried so far."""
        return Tuning(
            when=self.when,
            space=self.space,
            figures=self.figures,
            rungs=tuple(rung.samples for rung in self.rungs),
            tries=tuple(self.tries),
            ended_by=self.ended_by,
            importances=importances(self.space, self.tries),
            conditional_importances=conditional_importances(self.space, self.tries),
        )

    def climbing(
        self, recipe: Recipe, train: Callable[[TrialSpec], TrialResult | Failed]
    ) -> Iterator[Climbed | Failed]:
        """The way of a recipe over the rungs."""

        def leg(recipe: Recipe, piece: Slice, start: Start | None) -> Leg | Failed:
            spec = self.study.laboratory.spec(recipe, piece, self.study.seed(0), start)
            came = train(spec)
            return came if isinstance(came, Failed) else (spec, came)

        retreats = self.study.settings.training.max_retreats
        if self.trains_whole_schedules:
            return climb_anew(recipe, self.rungs, leg, retreats)
        return climb(recipe, self.rungs, self.begin(recipe), leg, retreats)

    def _first_points(self, how_many: "HowMany") -> dict[str, list[Values]]:
        """What is tried before anything is proposed, by where it comes from: settled once for a space.

        Where the space has changed since, the points that were tried in the old one and lie in the new one come first.
        """
        name = f"space-{self.when}.json"
        kept = self.study.folder.read(name)
        if kept is not None and Space.model_validate(kept["space"]).parameters == self.space.parameters:
            return dict(kept["first"])
        first = self.points.to_start_with(self.when)
        if kept is not None:
            known = [point for points in first.values() for point in points]
            first[_KEPT] = self._still_within(Space.model_validate(kept["space"]), kept["first"], how_many, known)
        self.study.folder.write(name, {"space": self.space.model_dump(mode="json"), "first": first})
        return first

    def _still_within(
        self, old: Space, first: dict[str, list[Values]], how_many: "HowMany", known: Sequence[Values]
    ) -> list[Values]:
        """Asks the old space's sampler again, for as long as the store holds what it asked for."""
        for difference in self.space.differences(old):
            self.study.progress.say(f"the space has changed: {difference}", "yellow")
        before, found = Search(self.study, self.when, old, self.recipe, self.rungs, self.begin), list[Values]()
        for tries in before._batches(first, how_many, _find_all):
            there = [one.values for one in tries if one.reason != _NOT_THERE]
            found += [point for point in there if self.space.contains(point) and point not in [*found, *known]]
            if len(there) < len(tries):
                break
        self.study.progress.say(f"{len(found)} points that were tried before lie within the new space")
        return found

    def _show(self, one: Try) -> None:
        said = "failed" if one.loss is None else f"loss {one.loss:.4f}"
        state = {"complete": "", "stopped": ", stopped", "failed": f": {one.reason}"}[one.state]
        shown = ", ".join(f"{key}={_short(value)}" for key, value in one.values.items())
        self.study.progress.say(f"try {one.number} ({shown}): {said}{state} after {one.samples:,} samples")
        if one.trials:
            self.study.show(one.trials[-1])


def _say_idle_workers(study: Study) -> None:
    """That a search which tries one point after the other leaves workers without work."""
    workers, address = study.pool.size, study.settings.runner.address
    if workers == 1 or study.settings.search.tries_at_once > 1:
        return
    there, uses = f"there are {workers} workers", f"search.tries_at_once={workers} uses all"
    if address is not None:  # nobody here knows how many it has
        there, uses = f"the cluster at {address} may have many workers", "search.tries_at_once=N uses N of them"
    study.progress.say(f"one try at a time, though {there}: {uses}", "yellow")


def first_of(first: dict[str, list[Values]], asked: Asked) -> str:
    """Where a point came from: the first ones are asked for in their order."""
    place = asked.number
    for origin, points in first.items():
        if place < len(points):
            return origin
        place -= len(points)
    return "proposed"


@dataclass
class Way:
    """A try while it climbs: how far it has come, and what became of it."""

    search: Search
    asked: Asked
    climbed: Climbed | None = None
    state: State | None = None  # None: it goes on
    reason: str = ""  # of a failure
    done: list[TrialResult] = field(default_factory=list)
    _climbing: Iterator[Climbed | Failed] | None = None

    def go_on(self, train: Callable[[TrialSpec], TrialResult]) -> None:
        """Train to the next rung. What has failed once has failed, so that the same is asked again after it."""
        came = self._next_rung(train)
        if isinstance(came, Failed):
            self.state, self.reason = "failed", came.reason
        else:
            self.climbed = came

    def _next_rung(self, train: Callable[[TrialSpec], TrialResult]) -> Climbed | Failed:
        search, values = self.search, self.asked.values

        def counted(spec: TrialSpec) -> TrialResult | Failed:
            came = attempted(search.study, f"to train {spec.key}", partial(train, spec))
            if not isinstance(came, Failed):
                self.done.append(came)
            return came

        if self._climbing is None:
            begun = f"to begin try {digest_of([search.when, values])}"
            recipe = attempted(search.study, begun, partial(search.points.recipe_at, values))
            if isinstance(recipe, Failed):
                return recipe
            self._climbing = search.climbing(recipe, counted)
        return next(self._climbing)

    @property
    def losses(self) -> tuple[float, ...]:
        """On *steer*, at each rung that it came to."""
        branches = self.climbed.branches if self.climbed else ()
        return tuple(self.search.study.laboratory.steer_loss(trial) for _, trial in branches)

    @property
    def figures(self) -> list[float]:
        """That are to be small."""
        one = self.account("")
        return [float(getattr(one, name)) for name in self.search.figures]

    def account(self, origin: str) -> Try:
        """Of a try that has ended."""
        assert self.state is not None
        last = self.climbed.result if self.climbed else None
        return Try(
            number=self.asked.number,
            values=self.asked.values,
            state=self.state,
            losses=self.losses,
            error=last.steer_error if last else None,
            params=last.params if last else 0,
            flops=last.flops if last else 0,
            samples=sum(trial.samples for trial in self.done),
            seconds=sum(trial.seconds for trial in self.done),
            trials=tuple(trial.key for trial in self.done),
            origin=origin,
            reason=self.reason,
        )


HowMany = Callable[[Search], int]  # tries that may begin side by side; 0 ends a search
ClimbAll = Callable[[Sequence[Way], int], object]  # has each of some ways come to a rung


def _climb_up(ways: Sequence[Way], sampler: Sampler, climb: ClimbAll) -> None:
    """Rung after rung until each try has ended.

    Who falls behind is decided once all are there, the best first: nobody goes on for being asked before a better one.
    """
    for rung in range(len(ways[0].search.rungs)):
        going = [way for way in ways if way.state is None]
        climb(going, rung)
        came = [(way.losses[-1], way) for way in going if way.state is None and way.climbed]
        for loss, way in sorted(came, key=lambda pair: pair[0]):
            if sampler.should_stop(way.asked, rung, loss):
                way.state = "stopped"
    for way in ways:
        way.state = way.state or "complete"
        sampler.tell(way.asked, way.figures if way.state == "complete" else None)


def _climb_side_by_side(study: Study, ways: Sequence[Way], rung: int) -> None:
    study.each([partial(climb_to_rung, study, way, way.search.when, rung) for way in ways])


@task("{when}: try {way.asked.number} to rung {rung}")
def climb_to_rung(study: Study, way: Way, when: When, rung: int) -> None:
    """Train at a point up to where it is compared with others."""
    edit, parameters = f"try {way.asked.number}", flattened(way.asked.values)
    generation = way.search.generation
    way.go_on(lambda spec: study.trial(spec, when, generation, edit, parameters=parameters, shown=False))


def _find_all(ways: Sequence[Way], rung: int) -> None:
    """As `_climb_side_by_side`, with what the store holds alone."""
    for way in ways:
        try:
            way.go_on(partial(_find, way.search.study))
        except LookupError:
            way.state, way.reason = "failed", _NOT_THERE


def _find(study: Study, spec: TrialSpec) -> TrialResult:
    found = study.laboratory.found(spec)
    if found is None:
        raise LookupError(spec.key)
    return found


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def sweep(study: Study, plan: Plan, recipe: Recipe) -> tuple[Tuning, dict[str, Climbed]]:
    """Whole trainings in the study's space, as many as the plan says; of them the best, or the front's members."""
    space = space_on_data(study)
    assert space is not None
    search = Search(study, "sweep", space, recipe, rungs_of(plan.try_samples, SWEEP_RUNGS))
    tuning = search.run(partial(_tries_of_sweep, study, plan))
    if tuning.ended_by:
        study.progress.say(f"the sweep stops after {len(tuning.tries)} tries: {tuning.ended_by}", "yellow")
    if tuning.best is None:
        reasons = [one.reason for one in tuning.tries if one.reason]
        raise TrainingError(
            f"none of the {len(tuning.tries)} tries of search.space={space.name} came to its end: "
            f"{reasons[-1] if reasons else 'all were stopped'}; allowed is a space with tamer values"
        )
    if len(tuning.figures) == 1:
        return tuning, {f"try {tuning.best.number}": search.climbed[tuning.best.number]}
    numbered = enumerate(tuning.spaced(study.settings.objective.front_size), start=1)
    best_first = sorted(numbered, key=lambda each: each[1].losses[-1])
    return tuning, {f"front {place}": search.climbed[one.number] for place, one in best_first}


def swept(first: Recipe, climbed: Climbed) -> FinalTraining:
    """A try of a sweep as what a study may end with, with the steps that lead to it."""
    legs = [*climbed.trunk, climbed.judged]
    steps = (first_step(*legs[0]), *(next_step(*leg) for leg in legs[1:]))
    return FinalTraining(climbed.judged[0].recipe, climbed.result, first.content_digest, steps)


def _tries_of_sweep(study: Study, plan: Plan, search: Search) -> int:
    """How many more may begin: settled by samples and a number of tries, but a first one has to come to its end."""
    search.ended_by = _target_reached(study, search)
    if search.ended_by:
        return 0
    is_first, left = not search.tries, plan.sweep_samples - search.samples
    count = max(int(is_first), min(study.settings.search.tries_at_once, whole_tries(search.rungs, left)))
    if plan.tries is not None:
        count = min(count, plan.tries - len(search.paid))
    return count if is_first else within_clock(study, plan, search, count, plan.try_samples, search.slowdown(plan))


def _target_reached(study: Study, search: Search) -> str:
    """A sentence where a try has come to the error that was asked for."""
    target, done = study.settings.budget.target_error, [one.error for one in search.tries if one.state == "complete"]
    lowest = min((error for error in done if error is not None), default=None)
    if target is None or lowest is None or lowest > target:
        return ""
    return f"the target was reached: {lowest:.2%} error on steer, asked for {target:.2%}"


def within_clock(study: Study, plan: Plan, search: Search, count: int, samples: int, slowdown: float) -> int:
    """Of so many tries those that a clock which runs ahead of the plan has time for: asked once, the answer kept."""
    if plan.calibration is None or not count:
        return count

    def allowed() -> int:
        seconds, wh = study.clock.seconds, study.energy.wh
        return sum(budget_allows(plan, seconds, wh, number * samples, slowdown) for number in range(1, count + 1))

    may_begin = int(study.decided(Question.TRIES.key(search.when, len(search.tries)), allowed))
    if not may_begin:
        search.ended_by = "the budget's clock or watt-hours left no room for another try"
    return may_begin


def whole_tries(rungs: tuple[Rung, ...], samples: int) -> int:
    """How many samples are enough for; one begins for as long as they are enough for its first rung."""
    return max(int(samples >= cost(rungs[:1])), samples // cost(rungs))
