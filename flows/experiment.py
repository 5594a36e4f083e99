"""The whole study, top to bottom; the file to read first.

    load -> select -> augment -> train baseline -> evaluate --+
                                                              |   one generation:
            +------ propose edits from the evaluation, train them and the control, judge, keep
            +--> final training -> test once -> explain -> deploy -> report

Each stage is a function that hands on small records; with the decorators taken away it still runs, which is what
`orchestrator=inline` does. Networks are trained, edited and observed in worker processes of their own.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from flows import deploying, reporting
from flows.augmentation import augmented
from flows.contests import entrants_of, race_optimizers, tune_hyperparameters
from flows.deploying import Deployed
from flows.evidence import confirmation_of, trained_of
from flows.explaining import explain_winner
from flows.first_network import find_earlier_winner, size_network
from flows.opening import configured_task_runner, opened_study
from flows.orchestration import prepare, publish_table, run_flow, task
from flows.selection import find_selection, say_cost, say_imbalance
from flows.study import Study
from flows.translation import configured_data, configured_limits, configured_recipe, configured_wishes
from flows.tuning import sweep, swept
from modules.config import RunnerSettings, Settings, home_folder, resolve
from modules.errors import TrainingError
from modules.evaluation.outputs import Outputs
from modules.explanation.records import Explanation
from modules.recipe import Recipe
from modules.records import CurvePoint, DataRecord, Part, Step, TrialResult
from modules.report.table import study_markdown
from modules.search.climbing import start_of
from modules.search.diagnosis import Diagnosis
from modules.search.final import Final, Finalist, FinalTraining, choose_final
from modules.search.first_recipe import batch_limit, range_test_fits
from modules.search.front import Member, confirmed_front, grown_front, next_parent, spaced, trunk_at
from modules.search.generation import (
    Child,
    Trained,
    Trunk,
    favourite,
    judge_generation,
    next_trunk,
    noise_of,
    record_generation,
    survivors,
)
from modules.search.laboratory import Inherited, Refused
from modules.search.plan import CONTROL_SEEDS, Plan
from modules.search.plan import make_plan as new_plan
from modules.search.prior import Prior, take_prior
from modules.search.proposal import Knowledge, Proposal, propose
from modules.search.stopping import final_samples, used_up, why_stop
from modules.store import Store
from modules.training.spec import Slice, Start, TrialSpec
from modules.workers.pool import WorkerDiedError


@dataclass(frozen=True)
class Found:
    """What a study ends with and how it came there."""

    plan: Plan
    trunk: Trunk
    final: Final


_CONSTANT = "modules.training.schedules.constant.Constant"
_LINEAR = "modules.training.schedules.linear.Linear"
_TRUNK_WARMUP = 0.1  # of the baseline
Fitting = tuple[Proposal, Inherited]

_PROPOSED = 4  # times as many edits as a generation tries, since some may not fit


def experiment(overrides: Sequence[str] = (), command: str | None = None) -> Path:
    """Run the study that Hydra overrides describe, or go on with it; returns the path of its summary.json."""
    return run_study(resolve(list(overrides)), command or " ".join(["espalier", "run", *overrides]))


def run_study(settings: Settings, command: str) -> Path:
    """Run a study under its orchestrator; returns the path of its summary.json."""
    home = home_folder()
    prepare(settings.orchestrator, home)
    with opened_study(settings, home, command) as study:
        run_flow(
            partial(study_flow, study),
            orchestrator=settings.orchestrator,
            home=home,
            name="espalier study",
            run_name=study.name,
            parameters={"command": command},
            task_runner=configured_task_runner(settings),
        )
        return study.folder.path / "summary.json"


def plan_study(settings: Settings, home: Path) -> None:
    """Say what a study would train and with what it would start; all that is trained is what a plan rests on.

    Where a selection has to be found, the plan is that of a study on all images.
    """
    here = settings.updated(runner=RunnerSettings(kind="serial", workers=1, address=None))
    with opened_study(here, home, "espalier plan", tracked=False) as study:
        recipe = augment_data(study, configured_recipe(study.settings, load_data(study)))
        recipe = tune_recipe(study, size_network(study, recipe, find_earlier_winner(study)))
        plan = make_plan(study, recipe)
        reporting.say_plan(study, plan)
        say_cost(study)


def study_flow(study: Study) -> None:
    """From the images to the report."""
    found = find_winner(study)
    test = open_test(study, found.final)
    explanation = explain(study, found.final)
    deployed = deploy(study, found.trunk, found.final, test)
    write_report(study, found, test, explanation, deployed)


def find_winner(study: Study) -> Found:
    """From the images to the network that the study ends with; the test set stays closed."""
    data = load_data(study)
    remember_studies(study)
    recipe = augment_data(study, select_data(study, data))
    earlier = find_earlier_winner(study)
    recipe = tune_recipe(study, size_network(study, recipe, earlier))
    plan = make_plan(study, recipe)
    if plan.try_samples:
        return sweep_space(study, plan, recipe)
    trunk = train_baseline(study, recipe, plan, earlier.start if earlier else None)
    trunk = race_optimizers(study, plan, trunk)
    trunk = tune_hyperparameters(study, plan, trunk, "before")
    front: tuple[Member, ...] = (Member(trunk.trained, trunk.position, trunk.lineage),)
    contests = len(trunk.generations)
    for number in range(contests + 1, contests + plan.generations + 1):
        if stop_reason(study, plan, trunk, number) is not None:
            break
        trunk, front = run_generation(study, plan, trunk, front, number)
    if not _is_pareto(study):
        trunk = tune_hyperparameters(study, plan, trunk, "after")
    return Found(plan, trunk, train_final(study, plan, trunk, front, recipe))


@task("load data", retries=2)
def load_data(study: Study) -> DataRecord:
    """Read the images, give each its part and keep them in the store."""
    data = configured_data(study.settings, Store(study.home / "store"))
    study.open_laboratory(data)
    reporting.say_data(study, data)
    reporting.keep_look(study, data)
    return data


@task("remember earlier studies")
def remember_studies(study: Study) -> None:
    """What earlier studies on this machine taught, as it was when this one began."""
    if study.settings.prior == "none":
        return
    kept = study.folder.read("prior.json")
    study.prior = Prior.model_validate(kept) if kept else take_prior(study.home, study.name)
    study.folder.write("prior.json", study.prior.model_dump(mode="json"))
    reporting.say_prior(study)


def select_data(study: Study, data: DataRecord) -> Recipe:
    """The first recipe, with the selection that the configuration names, or that trainings of their own find."""
    recipe = configured_recipe(study.settings, data)
    say_imbalance(study, recipe)
    return find_selection(study, recipe, train_trial)


@task("augment training images")
def augment_data(study: Study, recipe: Recipe) -> Recipe:
    """The recipe with what its training images go through: given, or found among candidates."""
    return augmented(study, recipe)


@task("batch size and learning rate")
def tune_recipe(study: Study, recipe: Recipe) -> Recipe:
    """The recipe with the batch size that is fastest here, if asked for, and the rate that a range test speaks for."""
    training = study.settings.training
    num_train = study.laboratory.num_selected(recipe)
    if training.batch_size == "measured":
        largest = batch_limit(num_train)
        recipe = recipe.updated(batch_size=study.laboratory.measure_batch_size(recipe, largest))
        study.progress.say(f"batches of {recipe.batch_size}: no larger one is much faster on this machine")
    fits = range_test_fits(recipe.batch_size, num_train)
    if training.learning_rate is None and training.find_rate and fits:
        found = study.laboratory.find_rate(recipe, study.settings.seed)
        recipe = recipe.updated(learning_rate=found.picked)
        reporting.keep_rate(study, found)
    reporting.track_start(study, recipe)
    return recipe


@task("plan")
def make_plan(study: Study, recipe: Recipe) -> Plan:
    """Turn the budget into samples, once: a study that goes on keeps its plan."""
    kept = study.folder.read("plan.json")
    plan = Plan.model_validate(kept) if kept else _new_plan(study, recipe)
    study.folder.write("plan.json", plan.model_dump(mode="json"))
    study.progress.say(f"plan: {plan.note}")
    return plan


def _new_plan(study: Study, recipe: Recipe) -> Plan:
    wishes = configured_wishes(study.settings)
    if study.found is not None:
        wishes = study.found.left_of(wishes)
    if wishes.races:
        wishes = wishes.updated(races=len(entrants_of(study, recipe)))
    calibration = study.laboratory.calibrate(recipe) if wishes.needs_calibration else None
    num_train = study.laboratory.num_selected(recipe)
    plan = new_plan(wishes, num_train, calibration, study.clock.seconds, study.energy.wh)
    return plan.updated(prior=study.prior.content_digest if study.prior.lessons else None)


@task("train {role}, seed {spec.seed}")
def train_trial(
    study: Study, spec: TrialSpec, role: str, generation: int | None = None, edit: str | None = None
) -> TrialResult:
    """One trial: found in the store, or trained in a worker process."""
    return study.trial(spec, role, generation, edit)


def train_baseline(study: Study, recipe: Recipe, plan: Plan, start: Start | None = None) -> Trunk:
    """The first model: the trunk of the generations, at a constant rate, or all there is where nothing is searched."""
    training = study.settings.training
    piece = _piece(study, plan.baseline_samples, plan.evaluate_every)
    if plan.continued_samples:
        recipe = recipe.updated(schedule=Part(target=_CONSTANT, arguments={"warmup_fraction": _TRUNK_WARMUP}))
    else:
        piece = piece.updated(
            patience=training.patience,
            target_loss=training.target_loss,
            target_error=study.settings.budget.target_error,
        )
    spec = study.laboratory.spec(recipe, piece, study.seed(0), start)
    trial = train_trial(study, spec, "baseline")
    return Trunk(trained=trained_of(study, recipe, trial), position=trial.samples, lineage=(_first_step(spec, trial),))


def sweep_space(study: Study, plan: Plan, recipe: Recipe) -> Found:
    """Whole trainings in a space instead of generations; the best of them, or those of a front."""
    tuning, tried = sweep(study, plan, recipe)
    reporting.keep_tuning(study, tuning)
    trained = {name: swept(recipe, climbed) for name, climbed in tried.items()}
    best = next(iter(trained.values()))
    trunk = Trunk(trained_of(study, best.recipe, best.trial), best.trial.samples, lineage=best.lineage)
    return Found(plan, trunk, confirm_final(study, trunk, trained))


def stop_reason(study: Study, plan: Plan, trunk: Trunk, number: int) -> str | None:
    """Why the study should stop before generation `number`: decided once, since it may depend on the clock."""
    reason: str | None = study.decided(
        f"stop before generation {number}",
        lambda: why_stop(
            plan,
            study.clock.seconds,
            trunk.trained.evidence.error,
            study.settings.budget.target_error,
            trunk.generations_in_vain,
            study.settings.search.patience,
            study.energy.wh,
        ),
    )
    if reason:
        study.progress.say(f"the search stops before generation {number}: {reason}", "yellow")
    return reason


def run_generation(
    study: Study, plan: Plan, trunk: Trunk, front: tuple[Member, ...], number: int
) -> tuple[Trunk, tuple[Member, ...]]:
    """A control and a few edits, trained for one slice from the same parent; the control wins unless one earns it.

    Under objective=pareto the parent is a member of the front, and all that were trained may join it.
    """
    if _is_pareto(study):
        trunk = trunk_at(trunk, next_parent(front))
    diagnosis = evaluate(study, trunk, number)
    proposals = propose_edits(study, plan, trunk, diagnosis, number)
    control, (children, others) = study.both(
        partial(train_control, study, plan, trunk, number),
        partial(train_children, study, plan, trunk, proposals, number),
    )
    chosen = favourite(children, control, trunk, study.settings.objective.margin)
    if chosen is not None and out_of_energy(study, plan, f"second seed of generation {number}") is None:
        children[chosen] = train_again(study, plan, trunk, children[chosen], number)
    children += others
    if _is_pareto(study):
        front = grown_front(front, trunk, control, children, _slice(study, plan, trunk).model_dump(mode="json"))
    return judge_edits(study, plan, trunk, control, children, number), front


def _is_pareto(study: Study) -> bool:
    return study.settings.objective.kind == "pareto"


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
    rows = tuple(row for generation in trunk.generations for row in generation.rows)
    knowledge = (
        Knowledge(diagnosis=diagnosis, rows=rows, limits=limits, prior=study.prior) if search.kind == "edits" else None
    )
    count = _PROPOSED * plan.begun_per_generation
    return propose(search.edits, trunk.trained.recipe, knowledge, count, study.settings.seed, number)


def train_control(study: Study, plan: Plan, trunk: Trunk, number: int) -> Trained:
    """The parent, trained on without an edit, with each of the control's seeds."""
    recipe = _at_constant_rate(trunk.trained.recipe)
    start = start_of(trunk.trained.first)
    piece = _slice(study, plan, trunk)
    seeds = [study.seed(replicate) for replicate in range(CONTROL_SEEDS)]
    specs = [study.laboratory.spec(recipe, piece, seed, start) for seed in seeds]
    trials = study.each([partial(train_trial, study, spec, "control", number) for spec in specs])
    return trained_of(study, recipe, *trials)


def train_children(
    study: Study, plan: Plan, trunk: Trunk, proposals: Sequence[Proposal], number: int
) -> tuple[list[Child], list[Child]]:
    """As many of the proposals as a generation tries, trained; and those that were refused or given up on the way."""
    fitting, others = fit_edits(study, trunk, proposals, plan.begun_per_generation, number)
    if plan.halving:
        fitting, given_up = halve_edits(study, plan, trunk, fitting, number)
        others += given_up
    children = study.each([partial(train_child, study, plan, trunk, *fit, number) for fit in fitting])
    return children, others


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
    looks = study.each([partial(begin_child, study, plan, trunk, *fit, number) for fit in fitting])
    begun = [(fit, look) for fit, look in zip(fitting, looks, strict=True) if isinstance(look, CurvePoint)]
    others = [look for look in looks if isinstance(look, Child)]
    margin, parent = study.settings.objective.margin, trunk.trained
    seen = [(inherited.recipe, look.steer_loss) for (_, inherited), look in begun]
    chosen = survivors(seen, parent.evidence.loss, parent.recipe, margin)
    others += [_given_up(*fit, look) for index, (fit, look) in enumerate(begun) if index not in chosen]
    return [begun[index][0] for index in chosen], others


def begin_child(
    study: Study, plan: Plan, trunk: Trunk, proposal: Proposal, inherited: Inherited, number: int
) -> CurvePoint | Child:
    """The edited network after half a slice; a Child with a reason where that fails."""
    try:
        return begin_trial(study, _edited_spec(study, plan, trunk, inherited, 0), number, proposal.name)
    except (TrainingError, WorkerDiedError) as error:
        study.failed += 1
        return Child(proposal, inherited.description, None, inherited.certificate, str(error))


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
    try:
        trial = _train_edited(study, plan, trunk, proposal, inherited, 0, number)
    except (TrainingError, WorkerDiedError) as error:
        study.count_failure()
        return replace(child, refused=str(error))
    return replace(child, trained=trained_of(study, _at_constant_rate(inherited.recipe), trial))


def out_of_energy(study: Study, plan: Plan, training: str) -> str | None:
    """Why a training that can be left out is: the watt-hours are used up. Decided once, since it was measured."""
    if plan.wh is None:
        return None
    reason: str | None = study.decided(f"leave out {training}", lambda: used_up(plan, study.energy.wh))
    return reason


def train_again(study: Study, plan: Plan, trunk: Trunk, child: Child, number: int) -> Child:
    """The same edit with a second seed: its new weights are drawn again and its images come in another order."""
    assert child.trained is not None
    inherited = apply_edit(study, child.proposal, trunk.trained.recipe, trunk.trained.first, study.seed(1), number)
    assert isinstance(inherited, Inherited)
    trial = _train_edited(study, plan, trunk, child.proposal, inherited, 1, number)
    trained = trained_of(study, child.trained.recipe, *child.trained.trials, trial)
    return Child(child.proposal, child.description, trained, child.certificate)


def _train_edited(
    study: Study, plan: Plan, trunk: Trunk, proposal: Proposal, inherited: Inherited, replicate: int, number: int
) -> TrialResult:
    return train_trial(study, _edited_spec(study, plan, trunk, inherited, replicate), "edit", number, proposal.name)


def _edited_spec(study: Study, plan: Plan, trunk: Trunk, inherited: Inherited, replicate: int) -> TrialSpec:
    recipe = _at_constant_rate(inherited.recipe)
    return study.laboratory.spec(recipe, _slice(study, plan, trunk), study.seed(replicate), inherited.start)


@task("apply {proposal.name}, generation {number}, seed {seed}")
def apply_edit(
    study: Study, proposal: Proposal, recipe: Recipe, parent: TrialResult, seed: int, number: int
) -> Inherited | Refused:
    """The edit on the parent's recipe and weights, certified before any training."""
    return study.laboratory.inherit(proposal.edit, recipe, parent, seed)


@task("judge generation {number}")
def judge_edits(
    study: Study, plan: Plan, trunk: Trunk, control: Trained, children: Sequence[Child], number: int
) -> Trunk:
    """Judge on *steer*, open *confirm* for what is kept, write the ledger."""
    margin = study.settings.objective.margin
    judged = judge_generation(children, control, trunk, margin)
    kept = None if judged.kept is None else children[judged.kept].trained
    confirmed = confirmation_of(study, kept, control)
    record = record_generation(number, children, control, judged, confirmed, margin)
    piece = _slice(study, plan, trunk).model_dump(mode="json")
    trunk = next_trunk(trunk, children, control, judged, record, piece)
    reporting.write_ledger(study, trunk)
    reporting.say_generation(study, record)
    return trunk


def train_final(study: Study, plan: Plan, trunk: Trunk, front: Sequence[Member], first: Recipe) -> Final:
    """The winner's recipe, continued from its inherited weights and from scratch; *confirm* decides."""
    recipe, trial = trunk.trained.recipe, trunk.trained.first
    if _is_pareto(study) and plan.continued_samples:
        return train_front(study, plan, trunk, front)
    if not plan.continued_samples:
        only = FinalTraining(recipe, trial, recipe.content_digest, trunk.lineage)
        return confirm_final(study, trunk, {"baseline": only})
    samples = study.decided("final samples", lambda: _affordable(study, plan, trunk))
    ways: dict[str, Callable[[], FinalTraining | None]] = {
        "continued": partial(_cool_down, study, plan, trunk, samples, "final: continued")
    }
    if plan.scratch_samples:
        anew = recipe.updated(schedule=first.schedule)
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
    spec = study.laboratory.spec(recipe, _piece(study, samples, plan.evaluate_every), study.seed(0))
    done = train_trial(study, spec, "final: from scratch")
    return FinalTraining(recipe, done, recipe.content_digest, (_first_step(spec, done),))


def _cool_down(study: Study, plan: Plan, start: Trunk | Member, samples: int, role: str) -> FinalTraining:
    """Trained on from the weights it has, with a rate that ends at zero unless a constant one is asked for."""
    is_constant = study.settings.schedule.target == _CONSTANT
    cooling = start.trained.recipe
    if not is_constant:
        cooling = cooling.updated(schedule=Part(target=_LINEAR, arguments={"final_factor": 0.0}))
    piece = _piece(study, samples, plan.evaluate_every, start.position)
    spec = study.laboratory.spec(cooling, piece, study.seed(0), start_of(start.trained.first))
    done = train_trial(study, spec, role)
    return FinalTraining(cooling, done, start.trained.recipe.content_digest, (*start.lineage, _next_step(spec, done)))


@task("confirm final training")
def confirm_final(study: Study, trunk: Trunk, trained: dict[str, FinalTraining]) -> Final:
    """Open *confirm* for the final trainings and choose."""
    finalists = {
        name: Finalist(name, training, study.laboratory.observe(training.recipe, training.trial, "confirm"))
        for name, training in trained.items()
    }
    final = choose_final(finalists, noise_of(trunk.trained, trunk))
    if _is_pareto(study):
        final = replace(final, front=confirmed_front(finalists.values()))
    for row in final.rows:
        study.progress.say(f"{row.edit}: {row.verdict}")
    return final


@task("open test set")
def open_test(study: Study, final: Final) -> Outputs:
    """Open the test set, once for these weights."""
    return study.laboratory.observe(final.winner.recipe, final.winner.trial, "test")


@task("explain winner")
def explain(study: Study, final: Final) -> Explanation | None:
    """What the winner does on the test images and which pixels speak for it; nothing is opened for it."""
    return explain_winner(study, final)


@task("deploy", retries=2)
def deploy(study: Study, trunk: Trunk, final: Final, test: Outputs) -> Deployed:
    """The winner as files, and as a bundle that has proved to answer like the network that was trained."""
    return deploying.deploy_winner(study, trunk, final, test)


@task("write report", retries=2)
def write_report(
    study: Study, found: Found, test: Outputs, explanation: Explanation | None, deployed: Deployed
) -> None:
    """The ledger, the report with its figures, the summary, and MLflow's page."""
    view = reporting.write_study(study, found.plan, found.trunk, found.final, test, explanation, deployed)
    publish_table(f"study-{study.name}", study_markdown(view))


def _affordable(study: Study, plan: Plan, trunk: Trunk) -> int:
    """Under a clock, a search that stopped early leaves its time to the final training."""
    latest, settings = trunk.trained.first, study.settings
    wished = settings.search.final_samples is not None or settings.training.max_epochs is not None
    generations = [record for record in trunk.generations if record.contest is None]
    stopped_early = len(generations) < plan.generations and not wished
    pace = latest.seconds / latest.samples
    return final_samples(plan, study.clock.seconds, pace, may_grow=stopped_early, wh=study.energy.wh)


def _first_step(spec: TrialSpec, trial: TrialResult) -> Step:
    recipe, start = spec.recipe.model_dump(mode="json"), spec.start.model_dump(mode="json") if spec.start else None
    return _next_step(spec, trial).updated(recipe=recipe, start=start)


def _next_step(spec: TrialSpec, trial: TrialResult) -> Step:
    piece = spec.slice.model_dump(mode="json")
    return Step(trial=trial.key, seed=spec.seed, slice=piece, schedule=spec.recipe.schedule)


def _slice(study: Study, plan: Plan, trunk: Trunk) -> Slice:
    looks = 2 if plan.halving else 1
    return _piece(study, plan.slice_samples, max(1, plan.slice_samples // looks), trunk.position)


def _piece(study: Study, samples: int, evaluate_every: int, first_sample: int = 0) -> Slice:
    retreats = study.settings.training.max_retreats
    return Slice(samples=samples, evaluate_every=evaluate_every, first_sample=first_sample, max_retreats=retreats)


def _at_constant_rate(recipe: Recipe) -> Recipe:
    return recipe.updated(schedule=Part(target=_CONSTANT, arguments={"warmup_fraction": 0.0}))


if __name__ == "__main__":
    from flows.cli import main

    sys.exit(main(["run", *sys.argv[1:]]))
