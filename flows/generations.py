"""One generation: look at the parent, propose edits, train them and the control, judge, keep what earned it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from flows.concluding import conclude
from flows.decisions import Question
from flows.evidence import trained_again, trained_of
from flows.limits import cost_of, demanded_by_limits, measured_cost
from flows.orchestration import task
from flows.study import Study
from flows.translation import configured_limits
from flows.trials import all_or_failed, attempt_edit, attempt_trial, attempted, out_of_energy, piece_of
from modules.records import CurvePoint, GenerationRecord, TrialResult
from modules.search.climbing import start_of
from modules.search.diagnosis import Diagnosis
from modules.search.failed import Failed
from modules.search.front import Member, grown_front, next_parent, trunk_at
from modules.search.generation import Child, Comparison, Trained, Trunk, next_trunk, survivors
from modules.search.laboratory import Inherited
from modules.search.limits import Cost
from modules.search.plan import CONTROL_SEEDS, Plan
from modules.search.proposal import Knowledge, Proposal, propose
from modules.search.rungs import constant
from modules.training.spec import Slice, TrialSpec

Fitting = tuple[Proposal, Inherited]

_PROPOSED = 4  # times as many edits as a generation tries, since some may not fit


@dataclass(frozen=True)
class Generation:
    """What all of a generation take part in: of which study, by which plan, from which trunk."""

    study: Study
    plan: Plan
    trunk: Trunk
    number: int

    @property
    def parent(self) -> Trained:
        """What the control goes on with and edits change."""
        return self.trunk.trained

    @property
    def slice(self) -> Slice:
        """What each training goes through, from where the trunk is."""
        samples, looks = self.plan.slice_samples, 2 if self.plan.halving else 1
        return piece_of(self.study, samples, max(1, samples // looks), self.trunk.position)

    def control_spec(self, replicate: int) -> TrialSpec:
        """The parent, trained on without an edit."""
        recipe, start = self.parent.recipe.updated(schedule=constant()), start_of(self.parent.first)
        return self.study.laboratory.spec(recipe, self.slice, self.study.seed(replicate), start)

    def edited_spec(self, inherited: Inherited, replicate: int) -> TrialSpec:
        """An edited network, trained for as long."""
        recipe = inherited.recipe.updated(schedule=constant())
        return self.study.laboratory.spec(recipe, self.slice, self.study.seed(replicate), inherited.start)


def run_generation(
    study: Study, plan: Plan, trunk: Trunk, front: tuple[Member, ...], number: int
) -> tuple[Trunk, tuple[Member, ...]] | None:
    """A control and a few edits, trained for one slice from the same parent; the control wins unless one earns it.

    Under objective=pareto the parent is a member of the front, and all that were trained may join it. None where the
    control came to nothing, so that nothing can be judged.
    """
    if study.settings.objective.is_pareto:
        trunk = trunk_at(trunk, next_parent(front))
    generation = Generation(study, plan, trunk, number)
    diagnosis = evaluate(generation)
    proposals = propose_edits(generation, diagnosis)
    fitting, others = choose_edits(generation, proposals)
    control, children = study.both(partial(train_control, generation), partial(train_children, generation, fitting))
    if isinstance(control, Failed):
        say_no_control(generation, control)
        return None
    recipes = [each.trained.recipe if each.trained else None for each in children]
    demanded = demanded_by_limits(study, plan, trunk, recipes)
    comparison = Comparison(control, trunk, study.settings.objective.margin)
    chosen = comparison.favourite(children, demanded)
    if chosen is not None and out_of_energy(study, plan, f"second seed of generation {number}") is None:
        children[chosen] = train_again(generation, children[chosen])
    children += others
    if study.settings.objective.is_pareto:
        front = grown_front(front, trunk, control, children, generation.slice.model_dump(mode="json"))
    return judge_edits(generation, comparison, children, demanded), front


@task("evaluate, generation {generation.number}")
def evaluate(generation: Generation) -> Diagnosis:
    """Look at how well the parent fits and at what its layers do; where that fails, edits are proposed without it."""
    study, number = generation.study, generation.number
    recipe, parent = generation.parent.recipe, generation.parent.first
    diagnosis = attempted(study, f"to diagnose {parent.key}", partial(study.laboratory.diagnose, recipe, parent))
    if isinstance(diagnosis, Failed):
        blind = f"generation {number}: edits are proposed without a look at the network"
        study.progress.say(f"{blind}, as that failed: {diagnosis.reason}", "yellow")
        return Diagnosis.without_a_look(parent)
    study.progress.say(f"generation {number}: {diagnosis.headline(recipe.architecture)}", "bold")
    return diagnosis


@task("propose edits, generation {generation.number}")
def propose_edits(generation: Generation, diagnosis: Diagnosis) -> tuple[Proposal, ...]:
    """Edits in the order in which to try them; search=random asks neither the evaluation nor the ledger."""
    study, recipe = generation.study, generation.parent.recipe
    search, limits = study.settings.search, configured_limits(study.settings)
    latency_ms = measured_cost(study, recipe.architecture).latency_ms
    rows = tuple(row for earlier in generation.trunk.generations for row in earlier.rows)
    knowledge = (
        Knowledge(diagnosis=diagnosis, rows=rows, limits=limits, latency_ms=latency_ms, prior=study.prior)
        if search.kind == "edits"
        else None
    )
    count = _PROPOSED * generation.plan.begun_per_generation
    return propose(search.edits, recipe, knowledge, count, study.settings.seed, generation.number)


def choose_edits(generation: Generation, proposals: Sequence[Proposal]) -> tuple[list[Fitting], list[Child]]:
    """As many of the proposals as a generation trains; and those that were refused or given up on the way.

    Before the control is trained: a latency that was measured beside a training would be that training's, too.
    """
    fitting, others = fit_edits(generation, proposals)
    if generation.plan.halving:
        fitting, given_up = halve_edits(generation, fitting)
        others += given_up
    return fitting, others


def train_control(generation: Generation) -> Trained | Failed:
    """The parent, trained on without an edit, with each of the control's seeds, of which none may fail."""
    study, specs = generation.study, [generation.control_spec(replicate) for replicate in range(CONTROL_SEEDS)]
    calls = [partial(attempt_trial, study, spec, "control", generation.number) for spec in specs]
    came = all_or_failed(study.each(calls))
    return came if isinstance(came, Failed) else trained_of(study, specs[0].recipe, *came)


def say_no_control(generation: Generation, failed: Failed) -> None:
    """The end of a search, in which nothing was wrong with what it has come to: why is kept for the report."""
    study, number = generation.study, generation.number
    why = f"the control of generation {number} came to nothing: {failed.reason}"
    study.decided(Question.STOP_UNJUDGED.key(number), lambda: why)
    study.progress.say(f"the search stops in generation {number}: {why}", "yellow")


def train_children(generation: Generation, fitting: Sequence[Fitting]) -> list[Child]:
    """The edits that fit, trained side by side."""
    return generation.study.each([partial(train_child, generation, *fit) for fit in fitting])


def fit_edits(generation: Generation, proposals: Sequence[Proposal]) -> tuple[list[Fitting], list[Child]]:
    """The first proposals that fit the parent and the limits, as many as begin, applied; and those refused before."""
    study, count = generation.study, generation.plan.begun_per_generation
    limits, before = configured_limits(study.settings), measured_cost(study, generation.parent.recipe.architecture)
    fitting: list[Fitting] = []
    refused: list[Child] = []
    left = list(proposals)
    while left and len(fitting) < count:
        wanted = count - len(fitting)
        turn, left = left[:wanted], left[wanted:]
        applied = study.each([partial(apply_edit, generation, proposal, study.seed(0)) for proposal in turn])
        for proposal, inherited in zip(turn, applied, strict=True):
            if isinstance(inherited, Failed):
                refused.append(Child(proposal=proposal, description=proposal.name, refused=inherited.reason))
                continue
            after = cost_of(study, inherited.recipe.architecture)
            if isinstance(after, Cost) and limits.allows(before, after):
                fitting.append((proposal, inherited))
            else:
                objection = limits.objection(after) if isinstance(after, Cost) else after.reason
                refused.append(replace(_applied(proposal, inherited), refused=objection))
    return fitting, refused


def _applied(proposal: Proposal, inherited: Inherited) -> Child:
    return Child(proposal=proposal, description=inherited.description, certificate=inherited.certificate)


def halve_edits(generation: Generation, fitting: Sequence[Fitting]) -> tuple[list[Fitting], list[Child]]:
    """Those that promise most after half a slice, and the others, given up there or failed on the way."""
    study, parent = generation.study, generation.parent
    control, looks = study.both(
        partial(begin_control, generation),
        partial(study.each, [partial(begin_child, generation, *fit) for fit in fitting]),
    )
    begun = [(fit, look) for fit, look in zip(fitting, looks, strict=True) if isinstance(look, CurvePoint)]
    others = [look for look in looks if isinstance(look, Child)]
    seen = [(inherited.recipe, look.steer_loss) for (_, inherited), look in begun]
    reached = control.steer_loss if isinstance(control, CurvePoint) else parent.first.steer_loss  # plain, as looks are
    recipes = [inherited.recipe for (_, inherited), _ in begun]
    demanded = demanded_by_limits(study, generation.plan, generation.trunk, recipes)
    chosen = survivors(seen, reached, parent.recipe, study.settings.objective.margin, demanded)
    others += [_given_up(*fit, look) for index, (fit, look) in enumerate(begun) if index not in chosen]
    return [begun[index][0] for index in chosen], others


def begin_control(generation: Generation) -> CurvePoint | Failed:
    """What the parent comes to with as much training; where that fails, the whole of it may fail, too."""
    study, spec = generation.study, generation.control_spec(0)
    return attempted(study, f"to begin {spec.key}", partial(begin_trial, study, spec, generation.number, "control"))


def begin_child(generation: Generation, proposal: Proposal, inherited: Inherited) -> CurvePoint | Child:
    """The edited network after half a slice; a Child with a reason where that fails."""
    study, spec = generation.study, generation.edited_spec(inherited, 0)
    begin = partial(begin_trial, study, spec, generation.number, proposal.name)
    look = attempted(study, f"to begin {spec.key}", begin)
    return replace(_applied(proposal, inherited), refused=look.reason) if isinstance(look, Failed) else look


@task("begin {edit}, seed {spec.seed}")
def begin_trial(study: Study, spec: TrialSpec, generation: int, edit: str) -> CurvePoint:
    """A trial's first look at *steer*: found in the store, or trained for in a worker process."""
    return study.begin(spec, generation, edit)


def _given_up(proposal: Proposal, inherited: Inherited, look: CurvePoint) -> Child:
    reason = f"after half a slice its loss on steer was {look.steer_loss:.4f}; others promised more for their cost"
    return replace(_applied(proposal, inherited), refused=reason, seconds=look.seconds)


def train_child(generation: Generation, proposal: Proposal, inherited: Inherited) -> Child:
    """The edited network trained for a slice; a Child with a reason where that fails, as when memory runs out."""
    study, child = generation.study, _applied(proposal, inherited)
    training = f"{proposal.name} {inherited.description} of generation {generation.number}"
    no_more = out_of_energy(study, generation.plan, training)
    if no_more is not None:
        return replace(child, refused=no_more)
    trial = _train_edited(generation, proposal, inherited, 0)
    if isinstance(trial, Failed):
        return replace(child, refused=trial.reason)
    return replace(child, trained=trained_of(study, inherited.recipe.updated(schedule=constant()), trial))


def train_again(generation: Generation, child: Child) -> Child:
    """The same edit with a second seed: its new weights are drawn again and its images come in another order."""
    inherited = apply_edit(generation, child.proposal, generation.study.seed(1))
    if isinstance(inherited, Failed):
        return trained_again(generation.study, child, inherited)
    return trained_again(generation.study, child, _train_edited(generation, child.proposal, inherited, 1))


def _train_edited(
    generation: Generation, proposal: Proposal, inherited: Inherited, replicate: int
) -> TrialResult | Failed:
    spec = generation.edited_spec(inherited, replicate)
    return attempt_trial(generation.study, spec, "edit", generation.number, proposal.name)


@task("apply {proposal.name}, generation {generation.number}, seed {seed}")
def apply_edit(generation: Generation, proposal: Proposal, seed: int) -> Inherited | Failed:
    """The edit on the parent's recipe and weights, certified before any training."""
    return attempt_edit(generation.study, proposal.edit, generation.parent.recipe, generation.parent.first, seed)


@task("judge generation {generation.number}")
def judge_edits(
    generation: Generation, comparison: Comparison, children: Sequence[Child], demanded: Sequence[int] = ()
) -> Trunk:
    """Judge on *steer*, open *confirm* for what is kept, write the ledger."""
    judged, piece = comparison.judge(children, demanded), generation.slice.model_dump(mode="json")

    def after(record: GenerationRecord) -> Trunk:
        return next_trunk(generation.trunk, children, comparison.control, judged, record, piece)

    return conclude(generation.study, generation.number, comparison, children, judged, after)
