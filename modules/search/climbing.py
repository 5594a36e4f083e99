"""One try's way over the rungs: trained, compared, trained on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from modules.recipe import Recipe
from modules.records import TrialResult
from modules.search.rungs import Rung, constant, cooling, piece, warm
from modules.training.spec import Slice, Start, TrialSpec

Train = Callable[[Recipe, Slice, Start | None], tuple[TrialSpec, TrialResult]]
_Leg = tuple[TrialSpec, TrialResult]


@dataclass(frozen=True)
class Ground:
    """What a try begins with: weights and the position in the stream of images; None: new weights."""

    start: Start | None = None
    position: int = 0


@dataclass(frozen=True)
class Climbed:
    """How far a try has come: its trunk so far, and the branch that was judged at its last rung."""

    trunk: tuple[_Leg, ...]
    judged: _Leg
    losses: tuple[float, ...]

    @property
    def result(self) -> TrialResult:
        """Of the branch that was judged."""
        return self.judged[1]


def climb(recipe: Recipe, rungs: Sequence[Rung], ground: Ground, train: Train, retreats: int) -> Iterator[Climbed]:
    """Rung after rung on a trunk at a constant rate; at each a branch is cooled down, so that all compare alike."""
    trunk: list[_Leg] = []
    losses: list[float] = []
    start, position = ground.start, ground.position
    for rung in rungs:
        schedule = warm() if start is None else constant()
        leg = train(recipe.updated(schedule=schedule), piece(rung.trunk, position, retreats), start)
        trunk.append(leg)
        start, position = start_of(leg[1]), position + rung.trunk
        branch = train(recipe.updated(schedule=cooling()), piece(rung.cooled, position, retreats), start)
        losses.append(branch[1].steer_loss)
        yield Climbed(tuple(trunk), branch, tuple(losses))


def climb_anew(recipe: Recipe, rungs: Sequence[Rung], train: Train, retreats: int) -> Iterator[Climbed]:
    """At each rung a whole training under the recipe's own schedule, from new weights."""
    losses: list[float] = []
    for rung in rungs:
        leg = train(recipe, piece(rung.samples, 0, retreats), None)
        losses.append(leg[1].steer_loss)
        yield Climbed((), leg, tuple(losses))


def start_of(trial: TrialResult) -> Start:
    """Its state, to go on from."""
    return Start(kind="trials", key=trial.key, state_sha256=trial.state_sha256)
