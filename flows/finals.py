"""The end of a study: the winner trained on and anew, or the members of a front; *confirm* decides."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from flows.orchestration import task
from flows.study import Study
from flows.trials import first_step, next_step, out_of_energy, piece_of, train_trial
from modules.recipe import Recipe
from modules.search.climbing import start_of
from modules.search.final import Final, Finalist, FinalTraining, choose_final
from modules.search.front import Member, confirmed_front, spaced
from modules.search.generation import Comparison, Trunk
from modules.search.plan import Plan
from modules.search.rungs import CONSTANT, cooling
from modules.search.stopping import final_samples

_WORTH_SAYING = 0.1  # of the samples that were planned


def train_final(study: Study, plan: Plan, trunk: Trunk, front: Sequence[Member], first: Recipe) -> Final:
    """The winner's recipe, continued from its inherited weights and from scratch; *confirm* decides.

    Under a clock and with no edit kept, only continued, for the time of both: from scratch it would be the same network
    with fewer samples.
    """
    recipe, trial = trunk.trained.recipe, trunk.trained.first
    anew = recipe.updated(schedule=first.schedule)
    if study.settings.objective.is_pareto and plan.continued_samples:
        return train_front(study, plan, trunk, front)
    if not plan.continued_samples:
        only = FinalTraining(recipe, trial, recipe.content_digest, trunk.lineage)
        return confirm_final(study, trunk, {"baseline": only})
    if plan.scratch_samples and _is_timed(study, plan) and anew.content_digest == first.content_digest:
        study.progress.say("no edit was kept, so that the time for training from scratch goes to training on")
        plan = plan.without_scratch()
    samples = study.decided("final samples", lambda: _affordable(study, plan, trunk))
    ways: dict[str, Callable[[], FinalTraining | None]] = {
        "continued": partial(_cool_down, study, plan, trunk, samples, "final: continued")
    }
    if plan.scratch_samples:
        ways["from scratch"] = partial(_from_scratch, study, plan, anew, samples)
    return confirm_final(study, trunk, _trained_each(study, ways))


def _trained_each(study: Study, ways: dict[str, Callable[[], FinalTraining | None]]) -> dict[str, FinalTraining]:
    """The final trainings that there was energy for."""
    trained = zip(ways, study.each([*ways.values()]), strict=True)
    return {name: training for name, training in trained if training is not None}


def train_front(study: Study, plan: Plan, trunk: Trunk, front: Sequence[Member]) -> Final:
    """Some members of the front, spread over their costs, cooled down; *confirm* says which of them stay on it."""
    samples = study.decided("final samples", lambda: _affordable(study, plan, trunk))
    members = spaced(front, study.settings.objective.front_size)
    each = max(plan.slice_samples, (samples + bool(plan.scratch_samples) * samples) // len(members))
    ways: dict[str, Callable[[], FinalTraining | None]] = {
        f"front {number}": partial(_cool_down_member, study, plan, member, each, number)
        for number, member in enumerate(members, start=1)
    }
    return confirm_final(study, trunk, _trained_each(study, ways))


def _cool_down_member(study: Study, plan: Plan, member: Member, samples: int, number: int) -> FinalTraining | None:
    name = f"front {number}"
    if number > 1 and out_of_energy(study, plan, f"final training of {name}") is not None:
        return None
    return _cool_down(study, plan, member, samples, f"final: {name}")


def _from_scratch(study: Study, plan: Plan, recipe: Recipe, samples: int) -> FinalTraining | None:
    if out_of_energy(study, plan, "final training from scratch") is not None:
        return None
    spec = study.laboratory.spec(recipe, piece_of(study, samples, plan.evaluate_every), study.seed(0))
    done = train_trial(study, spec, "final: from scratch")
    return FinalTraining(recipe, done, recipe.content_digest, (first_step(spec, done),))


def _cool_down(study: Study, plan: Plan, start: Trunk | Member, samples: int, role: str) -> FinalTraining:
    """Trained on from the weights it has, with a rate that ends at zero unless a constant one is asked for."""
    is_constant = study.settings.schedule.target == CONSTANT
    recipe = start.trained.recipe
    if not is_constant:
        recipe = recipe.updated(schedule=cooling())
    piece = piece_of(study, samples, plan.evaluate_every, start.position)
    spec = study.laboratory.spec(recipe, piece, study.seed(0), start_of(start.trained.first))
    done = train_trial(study, spec, role)
    return FinalTraining(recipe, done, start.trained.recipe.content_digest, (*start.lineage, next_step(spec, done)))


@task("confirm final training")
def confirm_final(study: Study, trunk: Trunk, trained: dict[str, FinalTraining]) -> Final:
    """Open *confirm* for the final trainings and choose."""
    finalists = {
        name: Finalist(name, training, study.laboratory.observe(training.recipe, training.trial, "confirm"))
        for name, training in trained.items()
    }
    noises = Comparison(trunk.trained, trunk, study.settings.objective.margin).noises()
    final = choose_final(finalists, noises.seeds)
    if study.settings.objective.is_pareto:
        final = replace(final, front=confirmed_front(finalists.values()))
    for row in final.rows:
        study.progress.say(f"{row.edit}: {row.verdict}")
    return final


def _is_timed(study: Study, plan: Plan) -> bool:
    """Whether the final trainings are as long as there is time for, and not as long as was asked for."""
    settings = study.settings
    wished = settings.search.final_samples is not None or settings.training.max_epochs is not None
    return plan.seconds is not None and settings.budget.samples is None and not wished


def _affordable(study: Study, plan: Plan, trunk: Trunk) -> int:
    """Under a clock, all the time that is left, as fast as the winner was trained: the plan could only guess both."""
    latest = trunk.trained.first
    pace = latest.seconds / latest.samples
    samples = final_samples(plan, study.clock.seconds, pace, may_grow=_is_timed(study, plan), wh=study.energy.wh)
    if abs(samples - plan.continued_samples) > _WORTH_SAYING * plan.continued_samples:
        study.progress.say(
            f"the final training is one of {samples:,} samples, as that is what the budget that is left pays for"
        )
    return samples
