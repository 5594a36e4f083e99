"""One try's way over the rungs: trained, compared, trained on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from modules.recipe import Recipe
from modules.records import Step, TrialResult
from modules.search.failed import Failed
from modules.search.rungs import Rung, constant, cooling, piece, warm
from modules.training.spec import Slice, Start, TrialSpec

Leg = tuple[TrialSpec, TrialResult]
Train = Callable[[Recipe, Slice, Start | None], Leg | Failed]


@dataclass(frozen=True)
class Ground:
    """What a try begins with: weights and the position in the stream of images; None: new weights."""

    start: Start | None = None
    position: int = 0


@dataclass(frozen=True)
class Climbed:
    """How far a try has come: its trunk so far, and the branches that were judged, one at each rung."""

    trunk: tuple[Leg, ...]
    branches: tuple[Leg, ...]

    @property
    def judged(self) -> Leg:
        """The last branch."""
        return self.branches[-1]

    @property
    def result(self) -> TrialResult:
        """Of the last branch."""
        return self.judged[1]

    @property
    def others(self) -> tuple[TrialResult, ...]:
        """All that was trained besides the last branch."""
        return tuple(result for _, result in (*self.trunk, *self.branches[:-1]))


def climb(
    recipe: Recipe, rungs: Sequence[Rung], ground: Ground | Failed, train: Train, retreats: int
) -> Iterator[Climbed | Failed]:
    """Rung after rung on a trunk at a constant rate; at each a branch is cooled down, so that all compare alike.

    It ends with the first failure; one that has no ground fails at the first rung.
    """
    if isinstance(ground, Failed):
        yield ground
        return
    trunk: tuple[Leg, ...] = ()
    branches: tuple[Leg, ...] = ()
    start, position = ground.start, ground.position
    for rung in rungs:
        schedule = warm() if start is None else constant()
        leg = train(recipe.updated(schedule=schedule), piece(rung.trunk, position, retreats), start)
        if isinstance(leg, Failed):
            yield leg
            return
        trunk = (*trunk, leg)
        start, position = start_of(leg[1]), position + leg[1].samples
        branch = train(recipe.updated(schedule=cooling()), piece(rung.cooled, position, retreats), start)
        if isinstance(branch, Failed):
            yield branch
            return
        branches = (*branches, branch)
        yield Climbed(trunk, branches)


def climb_anew(recipe: Recipe, rungs: Sequence[Rung], train: Train, retreats: int) -> Iterator[Climbed | Failed]:
    """At each rung a whole training under the recipe's own schedule, from new weights, up to the first failure."""
    branches: tuple[Leg, ...] = ()
    for rung in rungs:
        branch = train(recipe, piece(rung.samples, 0, retreats), None)
        if isinstance(branch, Failed):
            yield branch
            return
        branches = (*branches, branch)
        yield Climbed((), branches)


def start_of(trial: TrialResult) -> Start:
    """Its state, to go on from."""
    return Start(kind="trials", key=trial.key, state_sha256=trial.state_sha256)


def first_step(spec: TrialSpec, trial: TrialResult) -> Step:
    """Of a lineage: a training with all it began with."""
    recipe, start = spec.recipe.model_dump(mode="json"), spec.start.model_dump(mode="json") if spec.start else None
    return next_step(spec, trial).updated(recipe=recipe, start=start)


def next_step(spec: TrialSpec, trial: TrialResult) -> Step:
    """Of a lineage: a training that went on from the step before."""
    piece = spec.slice.model_dump(mode="json")
    return Step(trial=trial.key, seed=spec.seed, slice=piece, schedule=spec.recipe.schedule)
