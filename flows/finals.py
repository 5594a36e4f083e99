"""The end of a study: the winner trained on and anew, or the members of a front; *confirm* decides."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean

from flows.decisions import Question
from flows.limits import within_limits
from flows.orchestration import task
from flows.study import Study
from flows.translation import configured_wishes
from flows.trials import attempt_trial, attempted, out_of_energy, piece_of, train_trial
from modules.recipe import Recipe
from modules.records import TrialResult
from modules.search.climbing import first_step, next_step, start_of
from modules.search.failed import Failed
from modules.search.final import Final, Finalist, FinalTraining, choose_final
from modules.search.front import Member, confirmed_front, spaced
from modules.search.generation import Trunk
from modules.search.plan import Plan
from modules.search.planning import SCRATCH_EPOCHS
from modules.search.rungs import CONSTANT, cooling
from modules.search.stopping import final_samples
from modules.search.transfer import may_train, trains_head_alone
from modules.training.spec import Start, TrialSpec

Train = Callable[[Study, TrialSpec, str], TrialResult | Failed]
Came = FinalTraining | Failed | None  # None: there was no energy for it
Way = Callable[[Train], Came]

_WORTH_SAYING = 0.1  # of the samples that were planned


def train_final(
    study: Study, plan: Plan, trunk: Trunk, front: Sequence[Member], first: Recipe, planted: Start | None = None
) -> Final:
    """The winner's recipe, continued from its inherited weights and from scratch; *confirm* decides.

    Under a clock only continued, for the time of both, where no edit was kept, as from scratch it would be the same
    network with fewer samples, or where what is left is too short to begin anew. Where all that is trained of a network
    is the head that it was `planted` with, that head is held against fine-tuning everything, if there is time for it.
    """
    recipe, trial = trunk.trained.recipe, trunk.trained.first
    anew = recipe.updated(schedule=first.schedule)
    if study.settings.objective.is_pareto and plan.continued_samples:
        return train_front(study, plan, trunk, within_limits(study, front))
    if not plan.continued_samples:
        only = FinalTraining(recipe, trial, recipe.content_digest, trunk.lineage)
        return confirm_final(study, trunk, {"baseline": only})
    if planted is not None and trains_head_alone(recipe) and not plan.generations:
        return _head_or_all(study, plan, trunk, first, planted)
    is_timed = plan.seconds is not None
    if is_timed and plan.scratch_samples and anew.content_digest == first.content_digest:
        plan = _continued_alone(study, plan, "no edit was kept")
    samples = study.decided(Question.FINAL_SAMPLES.key(), lambda: _affordable(study, plan, [trunk]))
    if is_timed and plan.scratch_samples and (short := _too_short(study, anew, samples)):
        plan = _continued_alone(study, plan, short)
        samples = 2 * samples if plan.may_grow else min(2 * samples, plan.continued_samples)
    _say_samples(study, plan, samples, "the final training is one")
    ways: dict[str, Way] = {"continued": partial(_cool_down, study, plan, trunk, samples, "final: continued")}
    if plan.scratch_samples:
        what, name = "training from scratch", "from scratch"
        ways[name] = partial(_begun_anew, study, plan, anew, samples, what, name, None)
    return confirm_final(study, trunk, _trained_each(study, ways))


def _continued_alone(study: Study, plan: Plan, why: str) -> Plan:
    """The plan without training from scratch; training on gets its samples, unless their number was asked for."""
    study.progress.say(f"{why}, so that the winner is trained on and not from scratch")
    wishes = configured_wishes(study.settings)
    is_asked_for = wishes.final_samples is not None or wishes.max_epochs is not None
    return plan.updated(scratch_samples=0) if is_asked_for else plan.without_scratch()


def _too_short(study: Study, recipe: Recipe, samples: int) -> str | None:
    """Half a sentence where two final trainings of so many samples each are too short for one to begin anew."""
    epochs = samples / study.laboratory.num_selected(recipe)
    if epochs >= SCRATCH_EPOCHS:
        return None
    return f"two final trainings could have {epochs:.1f} epochs each, fewer than {SCRATCH_EPOCHS}"


def _head_or_all(study: Study, plan: Plan, trunk: Trunk, first: Recipe, planted: Start) -> Final:
    """The head as it is, since it was fitted to its optimum, and everything trained from it, if that can be paid for.

    A gear is judged after a slice, in which fine-tuning only begins to pay, or not at all where time is short.
    """
    head = trunk.trained
    ways = {"head": FinalTraining(head.recipe, head.first, head.recipe.content_digest, trunk.lineage)}
    samples = study.decided(Question.FINE_TUNING_SAMPLES.key(), lambda: _affordable_anew(study, plan))
    if may_train(samples, study.laboratory.num_selected(first)):
        study.progress.say(
            f"everything is fine-tuned for {samples:,} samples; confirm decides between that and the head"
        )
        came = _begun_anew(study, plan, first, samples, "fine-tuning", "fine-tuned", planted, attempt_trial)
        ways |= _that_came(study, {"fine-tuned": came})
    return confirm_final(study, trunk, ways)


def _trained_each(study: Study, ways: dict[str, Way]) -> dict[str, FinalTraining]:
    """The final trainings that there was energy for and that did not fail; the study has to end with one.

    Where all failed, the first is tried once more: what a worker died of may have passed. What it fails of then ends
    the run and is not kept, so that a later one tries again.
    """
    train: Train = attempt_trial if len(ways) > 1 else train_trial
    came = dict(zip(ways, study.each([partial(way, train) for way in ways.values()]), strict=True))
    if not any(isinstance(each, FinalTraining) for each in came.values()):
        first = next(iter(ways))
        came[first] = ways[first](train_trial)
    return _that_came(study, came)


def _that_came(study: Study, came: dict[str, Came]) -> dict[str, FinalTraining]:
    """Without what failed, which is said, and what there was no energy for."""
    for name, each in came.items():
        if isinstance(each, Failed):
            study.progress.say(f"final: {name} is left out: {each.reason}", "yellow")
    return {name: each for name, each in came.items() if isinstance(each, FinalTraining)}


def train_front(study: Study, plan: Plan, trunk: Trunk, front: Sequence[Member]) -> Final:
    """Some members of the front, spread over their costs, cooled down; *confirm* says which of them stay on it."""
    count, samples = study.decided(Question.FRONT_SAMPLES.key(), lambda: _shared(study, plan, front))
    what = f"{count} of the front's {len(front)} networks share a final training"
    _say_samples(study, plan, samples, what, always=count < min(plan.num_finals, len(front)))
    numbered = enumerate(spaced(front, count), start=1)
    ways: dict[str, Way] = {}
    for number, member in sorted(numbered, key=lambda each: each[1].trained.evidence.loss):
        is_best, name = not ways, f"front {number}"
        ways[name] = partial(_cool_down_member, study, plan, member, samples // count, name, is_best)
    return confirm_final(study, trunk, _trained_each(study, ways))


def _shared(study: Study, plan: Plan, front: Sequence[Member]) -> tuple[int, int]:
    """How many members are trained to the end, for how many samples in all: fewer where each would get no slice."""
    count = min(plan.num_finals, len(front))
    samples = _affordable(study, plan, spaced(front, count))
    while count > 1 and samples // count < plan.slice_samples:
        count -= 1
        samples = _affordable(study, plan, spaced(front, count))
    return count, samples


def _cool_down_member(
    study: Study, plan: Plan, member: Member, samples: int, name: str, is_best: bool, train: Train
) -> Came:
    """The member with the lowest loss is trained in any case, the others while there is energy."""
    if not is_best and out_of_energy(study, plan, f"final training of {name}") is not None:
        return None
    return _cool_down(study, plan, member, samples, f"final: {name}", train)


def _begun_anew(
    study: Study, plan: Plan, recipe: Recipe, samples: int, what: str, name: str, start: Start | None, train: Train
) -> Came:
    """A whole training under a recipe's own schedule, from new weights or planted ones, if there is energy for it."""
    if out_of_energy(study, plan, f"final {what}") is not None:
        return None
    spec = study.laboratory.spec(recipe, piece_of(study, samples, plan.evaluate_every), study.seed(0), start)
    done = train(study, spec, f"final: {name}")
    if isinstance(done, Failed):
        return done
    return FinalTraining(recipe, done, recipe.content_digest, (first_step(spec, done),))


def _cool_down(study: Study, plan: Plan, start: Trunk | Member, samples: int, role: str, train: Train) -> Came:
    """Trained on from the weights it has, with a rate that ends at zero unless a constant one is asked for."""
    is_constant = study.settings.schedule.target == CONSTANT
    recipe = start.trained.recipe
    if not is_constant:
        recipe = recipe.updated(schedule=cooling())
    piece = piece_of(study, samples, plan.evaluate_every, start.position)
    spec = study.laboratory.spec(recipe, piece, study.seed(0), start_of(start.trained.first))
    done = train(study, spec, role)
    if isinstance(done, Failed):
        return done
    return FinalTraining(recipe, done, start.trained.recipe.content_digest, (*start.lineage, next_step(spec, done)))


@task("confirm final training")
def confirm_final(study: Study, trunk: Trunk, trained: dict[str, FinalTraining]) -> Final:
    """Open *confirm* for the final trainings and choose."""
    finalists = _finalists(study, trained)
    noise = trunk.noise_at(min(finalist.seen.loss for finalist in finalists.values()))
    final = choose_final(finalists, noise)
    if study.settings.objective.is_pareto:
        final = replace(final, front=confirmed_front(finalists.values()))
    for row in final.rows:
        study.progress.say(f"{row.edit}: {row.verdict}")
    return final


def _finalists(study: Study, trained: dict[str, FinalTraining]) -> dict[str, Finalist]:
    """The final trainings that *confirm* could be opened for; one has to be there to end with."""
    finalists: dict[str, Finalist] = {}
    for place, (name, training) in enumerate(trained.items(), start=1):
        look = partial(study.laboratory.observe, training.recipe, training.trial, "confirm")
        is_needed = not finalists and place == len(trained)
        seen = look() if is_needed else attempted(study, f"to confirm {training.trial.key}", look)
        if isinstance(seen, Failed):
            why = f"confirm could not be opened for it: {seen.reason}"
            study.progress.say(f"final: {name} is left out, as {why}", "yellow")
        else:
            finalists[name] = Finalist(name, training, seen)
    return finalists


def _affordable(study: Study, plan: Plan, starts: Sequence[Trunk | Member]) -> int:
    """Under a clock, all the time that is left, as fast as these were trained: the plan could only guess both.

    A head alone gains nothing from more: it was fitted to its optimum.
    """
    pace = fmean(start.trained.first.seconds / start.trained.first.samples for start in starts)
    may_grow = bool(plan.may_grow) and not all(trains_head_alone(start.trained.recipe) for start in starts)
    return _paid_for(study, plan, pace, may_grow)


def _affordable_anew(study: Study, plan: Plan) -> int:
    """The same for what the plan was made for, which has not been trained yet."""
    if plan.calibration is None:
        return plan.continued_samples
    return _paid_for(study, plan, 1 / plan.calibration.samples_per_second, bool(plan.may_grow))


def _paid_for(study: Study, plan: Plan, seconds_per_sample: float, may_grow: bool) -> int:
    seconds, wh = study.clock.seconds, study.energy.wh
    return final_samples(plan, seconds=seconds, wh=wh, seconds_per_sample=seconds_per_sample, may_grow=may_grow)


def _say_samples(study: Study, plan: Plan, samples: int, what: str, always: bool = False) -> None:
    if always or abs(samples - plan.continued_samples) > _WORTH_SAYING * plan.continued_samples:
        study.progress.say(f"{what} of {samples:,} samples, as that is what the budget that is left pays for")
