"""One generation: look at the parent, propose edits, train them and the control, judge, keep what earned it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from flows import reporting
from flows.evidence import confirmation_of, trained_of
from flows.limits import demanded_by_limits
from flows.orchestration import task
from flows.study import Study
from flows.translation import configured_limits
from flows.trials import all_or_why_not, attempt_edit, attempt_trial, attempted, out_of_energy, slice_of
from modules.recipe import Recipe
from modules.records import CurvePoint, TrialResult
from modules.search.climbing import start_of
from modules.search.diagnosis import Diagnosis
from modules.search.front import Member, grown_front, next_parent, trunk_at
from modules.search.generation import (
    Child,
    Comparison,
    Trained,
    Trunk,
    next_trunk,
    record_generation,
    survivors,
)
from modules.search.laboratory import Inherited, Refused
from modules.search.plan import CONTROL_SEEDS, Plan
from modules.search.proposal import Knowledge, Proposal, propose
from modules.search.rungs import constant
from modules.training.spec import TrialSpec

Fitting = tuple[Proposal, Inherited]

_PROPOSED = 4  # times as many edits as a generation tries, since some may not fit


def run_generation(
    study: Study, plan: Plan, trunk: Trunk, front: tuple[Member, ...], number: int
) -> tuple[Trunk, tuple[Member, ...]] | None:
    """A control and a few edits, trained for one slice from the same parent; the control wins unless one earns it.

    Under objective=pareto the parent is a member of the front, and all that were trained may join it. None where the
    control came to nothing, so that nothing can be judged.
    """
    if study.settings.objective.is_pareto:
        trunk = trunk_at(trunk, next_parent(front))
    diagnosis = evaluate(study, trunk, number)
    proposals = propose_edits(study, plan, trunk, diagnosis, number)
    fitting, others = choose_edits(study, plan, trunk, proposals, number)
    control, children = study.both(
        partial(train_control, study, plan, trunk, number),
        partial(train_children, study, plan, trunk, fitting, number),
    )
    if isinstance(control, str):
        say_no_control(study, number, control)
        return None
    demanded = demanded_by_limits(study, plan, trunk, children)
    comparison = Comparison(control, trunk, study.settings.objective.margin)
    chosen = comparison.favourite(children, demanded)
    if chosen is not None and out_of_energy(study, plan, f"second seed of generation {number}") is None:
        children[chosen] = train_again(study, plan, trunk, children[chosen], number)
    children += others
    if study.settings.objective.is_pareto:
        front = grown_front(front, trunk, control, children, slice_of(study, plan, trunk).model_dump(mode="json"))
    return judge_edits(study, plan, comparison, children, number, demanded), front


@task("evaluate, generation {number}")
def evaluate(study: Study, trunk: Trunk, number: int) -> Diagnosis:
    """Look at how well the parent fits and at what its layers do."""
    diagnosis = study.laboratory.diagnose(trunk.trained.recipe, trunk.trained.first)
    study.progress.say(f"generation {number}: {diagnosis.headline(trunk.trained.recipe.architecture)}", "bold")
    return diagnosis


@task("propose edits, generation {number}")
def propose_edits(study: Study, plan: Plan, trunk: Trunk, diagnosis: Diagnosis, number: int) -> tuple[Proposal, ...]:
    """Edits in the order in which to try them; search=random asks neither the evaluation nor the ledger."""
    search = study.settings.search
    limits = configured_limits(study.settings)
    latency_ms = limits.cost_of(trunk.trained.recipe.architecture, study.laboratory.latency_ms).latency_ms
    rows = tuple(row for generation in trunk.generations for row in generation.rows)
    knowledge = (
        Knowledge(diagnosis=diagnosis, rows=rows, limits=limits, latency_ms=latency_ms, prior=study.prior)
        if search.kind == "edits"
        else None
    )
    count = _PROPOSED * plan.begun_per_generation
    return propose(search.edits, trunk.trained.recipe, knowledge, count, study.settings.seed, number)


def choose_edits(
    study: Study, plan: Plan, trunk: Trunk, proposals: Sequence[Proposal], number: int
) -> tuple[list[Fitting], list[Child]]:
    """As many of the proposals as a generation trains; and those that were refused or given up on the way.

    Before the control is trained: a latency that was measured beside a training would be that training's, too.
    """
    fitting, others = fit_edits(study, trunk, proposals, plan.begun_per_generation, number)
    if plan.halving:
        fitting, given_up = halve_edits(study, plan, trunk, fitting, number)
        others += given_up
    return fitting, others


def train_control(study: Study, plan: Plan, trunk: Trunk, number: int) -> Trained | str:
    """The parent, trained on without an edit, with each of the control's seeds; why, where one comes to nothing."""
    specs = [_control_spec(study, plan, trunk, replicate) for replicate in range(CONTROL_SEEDS)]
    came = all_or_why_not(study.each([partial(attempt_trial, study, spec, "control", number) for spec in specs]))
    return came if isinstance(came, str) else trained_of(study, specs[0].recipe, *came)


def _control_spec(study: Study, plan: Plan, trunk: Trunk, replicate: int) -> TrialSpec:
    recipe, start = trunk.trained.recipe.updated(schedule=constant()), start_of(trunk.trained.first)
    return study.laboratory.spec(recipe, slice_of(study, plan, trunk), study.seed(replicate), start)


def say_no_control(study: Study, number: int, reason: str) -> None:
    """The end of a search, in which nothing was wrong with what it has come to: why is kept for the report."""
    why = f"the control of generation {number} came to nothing: {reason}"
    study.decided(f"stop before generation {number} is judged", lambda: why)
    study.progress.say(f"the search stops in generation {number}: {why}", "yellow")


def train_children(study: Study, plan: Plan, trunk: Trunk, fitting: Sequence[Fitting], number: int) -> list[Child]:
    """The edits that fit, trained side by side."""
    return study.each([partial(train_child, study, plan, trunk, *fit, number) for fit in fitting])


def fit_edits(
    study: Study, trunk: Trunk, proposals: Sequence[Proposal], count: int, number: int
) -> tuple[list[Fitting], list[Child]]:
    """The first `count` proposals that fit the parent and the limits, applied; and those refused on the way."""
    limits, parent = configured_limits(study.settings), trunk.trained
    before = limits.cost_of(parent.recipe.architecture, study.laboratory.latency_ms)
    fitting: list[Fitting] = []
    refused: list[Child] = []
    left = list(proposals)
    while left and len(fitting) < count:
        wanted = count - len(fitting)
        turn, left = left[:wanted], left[wanted:]
        for proposal, inherited in zip(turn, _applied(study, trunk, turn, number), strict=True):
            if not isinstance(inherited, Inherited):
                refused.append(Child(proposal, proposal.name, refused=inherited.reason))
                continue
            after = limits.cost_of(inherited.recipe.architecture, study.laboratory.latency_ms)
            if limits.allows(before, after):
                fitting.append((proposal, inherited))
            else:
                objection = limits.objection(after)
                refused.append(Child(proposal, inherited.description, None, inherited.certificate, objection))
    return fitting, refused


def _applied(study: Study, trunk: Trunk, proposals: Sequence[Proposal], number: int) -> list[Inherited | Refused]:
    recipe, parent, seed = trunk.trained.recipe, trunk.trained.first, study.seed(0)
    return study.each([partial(apply_edit, study, proposal, recipe, parent, seed, number) for proposal in proposals])


def halve_edits(
    study: Study, plan: Plan, trunk: Trunk, fitting: Sequence[Fitting], number: int
) -> tuple[list[Fitting], list[Child]]:
    """Those that promise most after half a slice, and the others, given up there or failed on the way."""
    control, looks = study.both(
        partial(begin_control, study, plan, trunk, number),
        partial(study.each, [partial(begin_child, study, plan, trunk, *fit, number) for fit in fitting]),
    )
    begun = [(fit, look) for fit, look in zip(fitting, looks, strict=True) if isinstance(look, CurvePoint)]
    others = [look for look in looks if isinstance(look, Child)]
    margin, parent = study.settings.objective.margin, trunk.trained
    seen = [(inherited.recipe, look.steer_loss) for (_, inherited), look in begun]
    reached = control.steer_loss if isinstance(control, CurvePoint) else parent.evidence.loss
    chosen = survivors(seen, reached, parent.recipe, margin)
    others += [_given_up(*fit, look) for index, (fit, look) in enumerate(begun) if index not in chosen]
    return [begun[index][0] for index in chosen], others


def begin_control(study: Study, plan: Plan, trunk: Trunk, number: int) -> CurvePoint | str:
    """What the parent comes to with as much training; why, where that fails, as the whole of it then may, too."""
    spec = _control_spec(study, plan, trunk, 0)
    return attempted(study, f"to begin {spec.key}", partial(begin_trial, study, spec, number, "control"))


def begin_child(
    study: Study, plan: Plan, trunk: Trunk, proposal: Proposal, inherited: Inherited, number: int
) -> CurvePoint | Child:
    """The edited network after half a slice; a Child with a reason where that fails."""
    spec = _edited_spec(study, plan, trunk, inherited, 0)
    look = attempted(study, f"to begin {spec.key}", partial(begin_trial, study, spec, number, proposal.name))
    if isinstance(look, CurvePoint):
        return look
    return Child(proposal, inherited.description, None, inherited.certificate, look)


@task("begin {edit}, seed {spec.seed}")
def begin_trial(study: Study, spec: TrialSpec, generation: int, edit: str) -> CurvePoint:
    """A trial's first look at *steer*: found in the store, or trained for in a worker process."""
    return study.begin(spec, generation, edit)


def _given_up(proposal: Proposal, inherited: Inherited, look: CurvePoint) -> Child:
    reason = f"after half a slice its loss on steer was {look.steer_loss:.4f}; others promised more for their cost"
    return Child(proposal, inherited.description, None, inherited.certificate, reason, look.seconds)


def train_child(study: Study, plan: Plan, trunk: Trunk, proposal: Proposal, inherited: Inherited, number: int) -> Child:
    """The edited network trained for a slice; a Child with a reason where that fails, as when memory runs out."""
    child = Child(proposal, inherited.description, certificate=inherited.certificate)
    no_more = out_of_energy(study, plan, f"{proposal.name} {inherited.description} of generation {number}")
    if no_more is not None:
        return replace(child, refused=no_more)
    trial = _train_edited(study, plan, trunk, proposal, inherited, 0, number)
    if isinstance(trial, str):
        return replace(child, refused=trial)
    return replace(child, trained=trained_of(study, inherited.recipe.updated(schedule=constant()), trial))


def train_again(study: Study, plan: Plan, trunk: Trunk, child: Child, number: int) -> Child:
    """The same edit with a second seed: its new weights are drawn again and its images come in another order.

    A Child with a reason where that fails: an edit that only one seed bears is not kept.
    """
    assert child.trained is not None
    inherited = apply_edit(study, child.proposal, trunk.trained.recipe, trunk.trained.first, study.seed(1), number)
    if not isinstance(inherited, Inherited):
        return child.given_up(f"with a second seed: {inherited.reason}")
    trial = _train_edited(study, plan, trunk, child.proposal, inherited, 1, number)
    if isinstance(trial, str):
        return child.given_up(f"with a second seed: {trial}")
    return replace(child, trained=trained_of(study, child.trained.recipe, *child.trained.trials, trial))


def _train_edited(
    study: Study, plan: Plan, trunk: Trunk, proposal: Proposal, inherited: Inherited, replicate: int, number: int
) -> TrialResult | str:
    return attempt_trial(study, _edited_spec(study, plan, trunk, inherited, replicate), "edit", number, proposal.name)


def _edited_spec(study: Study, plan: Plan, trunk: Trunk, inherited: Inherited, replicate: int) -> TrialSpec:
    recipe = inherited.recipe.updated(schedule=constant())
    return study.laboratory.spec(recipe, slice_of(study, plan, trunk), study.seed(replicate), inherited.start)


@task("apply {proposal.name}, generation {number}, seed {seed}")
def apply_edit(
    study: Study, proposal: Proposal, recipe: Recipe, parent: TrialResult, seed: int, number: int
) -> Inherited | Refused:
    """The edit on the parent's recipe and weights, certified before any training."""
    return attempt_edit(study, proposal.edit, recipe, parent, seed)


@task("judge generation {number}")
def judge_edits(
    study: Study,
    plan: Plan,
    comparison: Comparison,
    children: Sequence[Child],
    number: int,
    demanded: Sequence[int] = (),
) -> Trunk:
    """Judge on *steer*, open *confirm* for what is kept, write the ledger."""
    control, trunk = comparison.control, comparison.trunk
    judged = comparison.judge(children, demanded)
    kept = None if judged.kept is None else children[judged.kept].trained
    confirmed = confirmation_of(study, kept, control)
    record = record_generation(number, comparison, children, judged, confirmed)
    piece = slice_of(study, plan, trunk).model_dump(mode="json")
    trunk = next_trunk(trunk, children, control, judged, record, piece)
    reporting.write_ledger(study, trunk)
    reporting.say_generation(study, record)
    return trunk
