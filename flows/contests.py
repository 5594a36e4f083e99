"""Contests around a study's trunk: a race of optimisers, and the search for hyper-parameters before and after."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from flows import reporting
from flows.concluding import conclude
from flows.evidence import trained_again, trained_of
from flows.orchestration import task
from flows.points import space_on_data
from flows.rates import found_rate, range_test_samples
from flows.study import Study
from flows.trials import all_or_failed, attempt_edit, attempted
from flows.tuning import Search, whole_tries, within_clock
from modules.config import OptimizerChoice
from modules.recipe import Recipe
from modules.records import GenerationRecord, Part, RangeTest, TrialResult
from modules.search.climbing import Climbed, Ground, Leg, climb, start_of
from modules.search.contest import Contender, change, change_part, settled, survivors, trunk_after
from modules.search.failed import Failed
from modules.search.generation import Child, Comparison, Trunk
from modules.search.laboratory import Inherited
from modules.search.plan import CONTROL_SEEDS, RACE_RUNGS, Plan, Wishes
from modules.search.prior import Lesson
from modules.search.rungs import Rung, constant, cost, rungs_of
from modules.search.stopping import slowdown_of
from modules.training.spec import Slice, Start

_RACE = "optimisers"
_HYPERPARAMETERS = "hyper-parameters"


@dataclass(frozen=True)
class Contest:
    """What all take part in: from which trunk, over which rungs."""

    study: Study
    trunk: Trunk
    rungs: tuple[Rung, ...]
    title: str

    @property
    def number(self) -> int:
        """Of its generation."""
        return len(self.trunk.generations) + 1

    @property
    def recipe(self) -> Recipe:
        """The control's."""
        return self.trunk.trained.recipe.updated(schedule=constant())

    @property
    def ground(self) -> Ground:
        """Where the control begins."""
        return Ground(start_of(self.trunk.trained.first), self.trunk.position)

    def inherit(self, edit: Part) -> Inherited | Failed:
        """The trunk's weights for another recipe."""
        return attempt_edit(self.study, edit, self.recipe, self.trunk.trained.first, self.study.seed(0))

    def ground_of(self, recipe: Recipe) -> Ground | Failed:
        """Where another recipe begins: with the trunk's moments, if they mean something to its optimiser."""
        if recipe.optimizer.target == self.recipe.optimizer.target:
            return self.ground
        only = self.recipe.updated(optimizer=recipe.optimizer)
        inherited = self.inherit(change_part(self.recipe, only))
        return inherited if isinstance(inherited, Failed) else Ground(inherited.start, self.trunk.position)

    def climbing(self, recipe: Recipe, replicate: int, name: str) -> Iterator[Climbed | Failed]:
        """The way of a recipe over the rungs, for which nothing is done before the first is asked for."""
        study, role = self.study, "edit" if name != "control" else name

        def train(recipe: Recipe, piece: Slice, start: Start | None) -> Leg | Failed:
            spec = study.laboratory.spec(recipe, piece, study.seed(replicate), start)
            came = attempted(study, f"to train {spec.key}", partial(study.trial, spec, role, self.number, name))
            return came if isinstance(came, Failed) else (spec, came)

        yield from climb(recipe, self.rungs, self.ground_of(recipe), train, study.settings.training.max_retreats)


def race_optimizers(study: Study, plan: Plan, trunk: Trunk) -> Trunk:
    """Optimisers, each with the rate that its own range test speaks for, against the present one."""
    if not plan.race_samples:
        return trunk
    contest = Contest(study, trunk, rungs_of(plan.slice_samples, RACE_RUNGS), _RACE)
    choices = entrants_of(study, contest.recipe)
    recipes = study.each([partial(with_optimizer, study, contest.recipe, each) for each in choices])
    entrants = [(f"set_optimizer {each.name}", recipe) for each, recipe in zip(choices, recipes, strict=True)]
    study.progress.say(f"generation {contest.number}: a race of {len(entrants) + 1} optimisers", "bold")
    control, contenders = study.both(partial(climb_control, contest), partial(halve, contest, entrants))
    return settle(contest, control, contenders)


def entrants_of(study: Study, recipe: Recipe) -> list[OptimizerChoice | Lesson]:
    """The optimisers that race against the recipe's own: those asked for, and what won on like data elsewhere."""
    entrants: list[OptimizerChoice | Lesson] = [
        each for each in study.settings.search.optimizers if each.part != recipe.optimizer
    ]
    lessons = study.prior.winners(study.laboratory.data)
    for lesson in [each for each in lessons if each.recipe.get("batch_size") == recipe.batch_size][:1]:
        if (lesson.optimizer, lesson.learning_rate) != (recipe.optimizer, recipe.learning_rate):
            entrants.append(lesson)
            said = f"{lesson.optimizer.name} at {lesson.learning_rate:g}"
            study.learnt("race", f"{said} joins the race of optimisers, as study {lesson.study} ended with it")
    return entrants


def race_wishes(study: Study, wishes: Wishes, recipe: Recipe) -> Wishes:
    """What the plan is asked for, with the entrants that the race will have and the range tests of some of them."""
    if not wishes.races:
        return wishes
    entrants = entrants_of(study, recipe)
    tested = sum(isinstance(each, OptimizerChoice) for each in entrants)
    return wishes.updated(races=len(entrants), range_test_samples=range_test_samples(study, recipe, tested))


@task("find the rate of {choice.name}")
def with_optimizer(study: Study, recipe: Recipe, choice: OptimizerChoice | Lesson) -> Recipe:
    """The recipe with another optimiser and the rate that is found for it, or that another study ended with.

    Where the range test fails it races at its own rate, as where none is done.
    """
    if isinstance(choice, Lesson):
        return recipe.updated(optimizer=choice.optimizer, learning_rate=choice.learning_rate)
    changed = recipe.updated(optimizer=choice.part, learning_rate=choice.learning_rate)
    found = attempted(study, f"to find a rate for {changed.content_digest}", partial(found_rate, study, changed))
    if isinstance(found, Failed):
        rate = f"{choice.name} races at its default rate of {changed.learning_rate:g}"
        study.progress.say(f"{rate}, as its range test failed: {found.reason}", "yellow")
    return changed.updated(learning_rate=found.picked) if isinstance(found, RangeTest) else changed


def tune_hyperparameters(study: Study, plan: Plan, trunk: Trunk, when: Literal["before", "after"]) -> Trunk:
    """Hyper-parameters of the trunk's training, searched in the study's space for as long as the plan says."""
    samples, space = getattr(plan, f"tuning_{when}_samples"), space_on_data(study)
    if not samples or space is None:
        return trunk
    contest = Contest(study, trunk, rungs_of(plan.slice_samples, RACE_RUNGS), _HYPERPARAMETERS)
    study.progress.say(f"generation {contest.number}: hyper-parameters in the space {space.name}", "bold")
    search = Search(study, when, space, contest.recipe, contest.rungs, contest.ground_of, contest.number)
    left = samples - (CONTROL_SEEDS + 1) * cost(contest.rungs)
    slowdown = slowdown_of(plan, trunk.trained.first.samples, trunk.trained.first.seconds)
    control, tuning = study.both(
        partial(climb_control, contest),
        partial(search.run, partial(_tries_of_contest, study, plan, left, slowdown=slowdown)),
    )
    reporting.keep_tuning(study, tuning)
    complete = [one for one in tuning.tries if one.state == "complete"]
    recipes = study.each([partial(search.points.recipe_at, one.values) for one in complete])
    others = [pair for pair in zip(complete, recipes, strict=True) if pair[1] != contest.recipe]
    children = study.each([partial(_entered, contest, "tune", recipe) for _, recipe in others])
    contenders = [
        finished(contest, child, search.climbed[one.number]) if child.refused is None else Contender(child, None)
        for (one, _), child in zip(others, children, strict=True)
    ]
    return settle(contest, control, contenders)


def _tries_of_contest(study: Study, plan: Plan, samples: int, search: Search, slowdown: float) -> int:
    """How many more may begin, of all that have `samples` to share."""
    count = min(study.settings.search.tries_at_once, whole_tries(search.rungs, samples - search.samples))
    return within_clock(study, plan, search, count, cost(search.rungs), slowdown)


def climb_control(contest: Contest) -> list[Climbed] | Failed:
    """The trunk's own recipe over all rungs, with each of the control's seeds, of which none may fail."""
    ways = [contest.climbing(contest.recipe, replicate, "control") for replicate in range(CONTROL_SEEDS)]
    ends = contest.study.each([partial(_to_the_last_rung, way) for way in ways])
    return all_or_failed([end for _, end in ends])


def _to_the_last_rung(way: Iterator[Climbed | Failed]) -> tuple[Climbed | None, Climbed | Failed]:
    """How far a way came before its end, and that end."""
    *before, end = way
    last = before[-1] if before else None
    return last if isinstance(last, Climbed) else None, end


def _entered(contest: Contest, name: str, recipe: Recipe) -> Child:
    proposal = change(contest.recipe, recipe, name.partition(" ")[0], f"a contest of {contest.title}")
    inherited = contest.inherit(proposal.edit)
    if isinstance(inherited, Failed):
        return Child(proposal=proposal, description=proposal.name, refused=inherited.reason)
    return Child(proposal=proposal, description=inherited.description, certificate=inherited.certificate)


def halve(contest: Contest, entrants: Sequence[tuple[str, Recipe]]) -> list[Contender]:
    """All climb to the first rung; of those that came there a third goes on."""
    study = contest.study
    children = study.each([partial(_entered, contest, name, recipe) for name, recipe in entrants])
    ways = study.each([partial(contest.climbing, recipe, 0, name) for name, recipe in entrants])
    climbed: list[Climbed | None] = [None] * len(entrants)
    alive = [index for index, child in enumerate(children) if child.refused is None]
    for rung in contest.rungs:
        outcomes = study.each([partial(next, ways[index]) for index in alive])
        for index, outcome in zip(alive, outcomes, strict=True):
            if isinstance(outcome, Failed):
                children[index] = replace(children[index], refused=outcome.reason, spent=_all_of(climbed[index]))
            else:
                climbed[index] = outcome
        came = [index for index in alive if children[index].refused is None]
        if rung is contest.rungs[-1] or not came:
            alive = came
            break
        losses = [study.laboratory.steer_loss(each.result) for index in came if (each := climbed[index]) is not None]
        alive = [came[place] for place in survivors(losses)]
        limit = max(losses[came.index(index)] for index in alive)
        for index in set(came) - set(alive):
            children[index] = _stopped(children[index], climbed[index], rung, losses[came.index(index)], limit)
    return [
        finished(contest, child, way) if index in alive and way is not None else Contender(child, None)
        for index, (child, way) in enumerate(zip(children, climbed, strict=True))
    ]


def _stopped(child: Child, climbed: Climbed | None, rung: Rung, loss: float, limit: float) -> Child:
    reason = (
        f"stopped after {rung.samples:,} samples: its loss was {loss:.4f}, of those that went on at most {limit:.4f}"
    )
    return replace(child, refused=reason, spent=_all_of(climbed))


def _all_of(climbed: Climbed | None) -> tuple[TrialResult, ...]:
    return () if climbed is None else (*climbed.others, climbed.result)


def finished(contest: Contest, child: Child, climbed: Climbed) -> Contender:
    """A contender that came to the last rung."""
    recipe = climbed.judged[0].recipe.updated(schedule=constant())
    trained = trained_of(contest.study, recipe, climbed.result)
    return Contender(replace(child, trained=trained, spent=climbed.others), climbed)


@task("judge contest of {contest.title}, generation {contest.number}")
def settle(contest: Contest, control: list[Climbed] | Failed, contenders: list[Contender]) -> Trunk:
    """Train the most promising with a second seed, judge on *steer*, open *confirm* for what is kept.

    The trunk as it was, where the control came to nothing.
    """
    study, trunk = contest.study, contest.trunk
    if isinstance(control, Failed):
        said = f"the contest of {contest.title} is not judged, as its control came to nothing: {control.reason}"
        study.progress.say(said, "yellow")
        return trunk
    trained = replace(
        trained_of(study, contest.recipe, *(each.result for each in control)),
        spent=tuple(trial for each in control for trial in each.others),
    )
    children = [contender.child for contender in contenders]
    comparison = Comparison(trained, trunk, study.settings.objective.margin)
    chosen = comparison.favourite(children)
    if chosen is not None:
        children[chosen] = _again(contest, children[chosen])
    judged = comparison.judge(children)
    winner = control[0] if judged.kept is None else contenders[judged.kept].climbed
    assert winner is not None, "what is kept came to the last rung"
    kept, recipe = judged.kept_child(children), winner.judged[0].recipe.updated(schedule=constant())

    def after(record: GenerationRecord) -> Trunk:
        going_on = trained_of(study, recipe, winner.trunk[-1][1])
        return trunk_after(trunk, kept, winner, going_on, settled(record, contest.title, winner))

    return conclude(study, contest.number, comparison, children, judged, after)


def _again(contest: Contest, child: Child) -> Child:
    """The same recipe with a second seed: its images come in another order."""
    assert child.trained is not None
    before, end = _to_the_last_rung(contest.climbing(child.trained.recipe, 1, child.proposal.name))
    if isinstance(end, Failed):
        return trained_again(contest.study, child, end, _all_of(before))
    return trained_again(contest.study, child, end.result, end.others)
