"""The whole study, top to bottom; the file to read first.

    load -> select -> augment -> train baseline -> evaluate --+
                                                              |   one generation:
            +------ propose edits from the evaluation, train them and the control, judge, keep
            +--> final training -> test once -> explain -> deploy -> report

Each stage is a function that hands on small records; with the decorators taken away it still runs, which is what
`orchestrator=inline` does. Networks are trained, edited and observed in worker processes of their own.
"""

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flows import deploying, reporting
from flows.allowance import new_plan, samples_for, wishes_of
from flows.augmentation import augmented
from flows.commands import as_typed
from flows.contests import race_optimizers, race_wishes, tune_hyperparameters
from flows.decisions import Question
from flows.deploying import Deployed
from flows.evidence import first_trunk, trained_of
from flows.explaining import explain_winner
from flows.finals import confirm_final, train_final
from flows.first_network import find_earlier_winner, first_start, rate_taken_over, size_network
from flows.gears import thaw
from flows.generations import run_generation
from flows.limits import check_limits, check_shrinks, excess_of, halvings_of, say_limits
from flows.opening import configured_task_runner, opened_study
from flows.orchestration import prepare, publish_table, run_flow, task
from flows.points import say_space
from flows.rates import found_rate
from flows.selection import check_selection, find_selection, say_cost, say_imbalance
from flows.shrinking import averaged_within_slices, begin_to_shrink
from flows.study import Study
from flows.transfer import Planted, plan_transfer, plant_pretrained, train_planted
from flows.translation import configured_data, configured_recipe
from flows.tuning import sweep, swept
from modules.config import RunnerSettings, Settings, home_folder, resolve
from modules.errors import StudyError
from modules.evaluation.outputs import Outputs
from modules.explanation.records import Explanation
from modules.recipe import Recipe
from modules.records import DataRecord
from modules.report.table import study_markdown
from modules.search.earlier import EarlierWinner
from modules.search.final import Final
from modules.search.first_recipe import batch_limit
from modules.search.front import Member, generations_in_vain
from modules.search.generation import Trunk
from modules.search.plan import Plan
from modules.search.prior import Prior, take_prior
from modules.search.rungs import warm
from modules.search.stopping import slowdown_of, why_stop
from modules.search.transfer import transfer_wishes
from modules.store import Store
from modules.training.spec import Start


@dataclass(frozen=True)
class Found:
    """What a study ends with and how it came there."""

    plan: Plan
    trunk: Trunk
    final: Final


def experiment(overrides: Sequence[str] = (), command: str | None = None) -> Path:
    """Run the study that Hydra overrides describe, or go on with it; returns the path of its summary.json."""
    return run_study(resolve(list(overrides)), command or as_typed(overrides))


def run_study(settings: Settings, command: str, beside: Collection[str] = ()) -> Path:
    """Run a study under its orchestrator; returns the path of its summary.json.

    `beside` are studies that it is to be compared with, so that it does not learn from them.
    """
    home = home_folder()
    prepare(settings.orchestrator, home)
    with opened_study(settings, home, command) as study:
        study.beside = beside
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

    The study goes by that plan, unless a selection has to be found: then the plan said is that of one on all images.
    Whoever asks for a plan does not mean to lose the study, so that fresh=true is left to the run.
    """
    here = settings.updated(fresh=False, runner=RunnerSettings(kind="serial", workers=1, address=None))
    with opened_study(here, home, "espalier plan", tracked=False) as study:
        data, is_kept = load_data(study), not study.settings.finds_selection
        remember_studies(study)
        recipe = configured_recipe(study.settings, data)
        if is_kept:
            check_selection(study, recipe)
        recipe = augment_data(study, recipe)
        planted = plant_pretrained(study, recipe)
        if planted is not None:
            plan = plan_transfer(study, planted, is_kept)
        else:
            earlier = find_earlier_winner(study)
            recipe = tune_recipe(study, size_network(study, recipe, earlier), earlier)
            plan = make_plan(study, recipe, is_kept)
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
    planted = plant_pretrained(study, recipe)
    if planted is not None:
        return transfer(study, planted)
    earlier = find_earlier_winner(study)
    recipe = tune_recipe(study, size_network(study, recipe, earlier), earlier)
    plan = make_plan(study, recipe)
    if plan.try_samples:
        return sweep_space(study, plan, recipe)
    if recipe.began_pretrained and plan.generations:
        recipe = averaged_within_slices(study, plan, recipe)
    trunk = train_baseline(study, recipe, plan, first_start(study, recipe, earlier))
    trunk = race_optimizers(study, plan, trunk)
    trunk = tune_hyperparameters(study, plan, trunk, "before")
    trunk, front = run_generations(study, plan, trunk)
    if not study.settings.objective.is_pareto:
        trunk = tune_hyperparameters(study, plan, trunk, "after")
    return Found(plan, trunk, train_final(study, plan, trunk, front, recipe))


def transfer(study: Study, planted: Planted) -> Found:
    """From pretrained weights to the network that the study ends with: a head, more of the network, perhaps smaller."""
    check_limits(study, planted.first.architecture)
    reporting.track_start(study, planted.first)
    plan = plan_transfer(study, planted)
    trunk = thaw(study, plan, train_planted(study, plan, planted), planted)
    trunk, front = run_generations(study, plan, begin_to_shrink(study, plan, trunk, planted))
    return Found(plan, trunk, train_final(study, plan, trunk, front, planted.first, planted.start))


def run_generations(study: Study, plan: Plan, trunk: Trunk) -> tuple[Trunk, tuple[Member, ...]]:
    """As many generations as the plan has, unless there is a reason to stop before."""
    front: tuple[Member, ...] = (Member(trunk.trained, trunk.position, trunk.lineage),)
    contests = len(trunk.generations)
    for number in range(contests + 1, contests + plan.generations + 1):
        if stop_reason(study, plan, trunk, front, number) is not None:
            break
        judged = run_generation(study, plan, trunk, front, number)
        if judged is None:
            break
        trunk, front = judged
    say_limits(study, trunk)
    return trunk, front


@task("load data", retries=2)
def load_data(study: Study) -> DataRecord:
    """Read the images, give each its part and keep them in the store."""
    data = configured_data(study.settings, Store(study.home / "store"))
    begun_on = study.decided(Question.DATA.key(), lambda: data.digest)
    if begun_on != data.digest:
        raise StudyError(
            f"study {study.name!r} was begun on other images, or others of them had been corrected (digest "
            f"{begun_on[:16]}, now {data.digest[:16]}), and what it decided was decided on those; take another name "
            "with study=NAME, or start this one over with fresh=true"
        )
    study.open_laboratory(data)
    reporting.say_data(study, data)
    say_space(study)
    reporting.keep_look(study, data)
    return data


@task("remember earlier studies")
def remember_studies(study: Study) -> None:
    """What earlier studies on this machine taught, as it was when this one began."""
    if study.settings.prior == "none":
        return
    kept = study.folder.read("prior.json")
    study.prior = Prior.model_validate(kept) if kept else take_prior(study.home, {study.name, *study.beside})
    study.folder.write("prior.json", study.prior.model_dump(mode="json"))
    reporting.say_prior(study)


def select_data(study: Study, data: DataRecord) -> Recipe:
    """The first recipe, with the selection that the configuration names, or that trainings of their own find."""
    recipe = configured_recipe(study.settings, data)
    say_imbalance(study, recipe)
    return find_selection(study, recipe)


@task("augment training images")
def augment_data(study: Study, recipe: Recipe) -> Recipe:
    """The recipe with what its training images go through: given, or found among candidates."""
    return augmented(study, recipe)


@task("batch size and learning rate")
def tune_recipe(study: Study, recipe: Recipe, earlier: EarlierWinner | None = None) -> Recipe:
    """The recipe with the batch size that is fastest here, if asked for, and the rate that a range test speaks for.

    What goes on from an `earlier` winner keeps its rate.
    """
    training = study.settings.training
    if training.batch_size == "measured":
        largest = batch_limit(study.laboratory.num_selected(recipe))
        measured = study.decided(
            Question.BATCH_SIZE.key(), partial(study.laboratory.measure_batch_size, recipe, largest)
        )
        recipe = recipe.updated(batch_size=measured)
        study.progress.say(f"batches of {recipe.batch_size}: no larger one is much faster on this machine")
    is_open = training.learning_rate is None and rate_taken_over(study, recipe, earlier) is None
    found = found_rate(study, recipe) if is_open else None
    if found is not None:
        recipe = recipe.updated(learning_rate=found.picked)
        reporting.keep_rate(study, found)
    reporting.track_start(study, recipe)
    return recipe


@task("plan")
def make_plan(study: Study, recipe: Recipe, is_kept: bool = True) -> Plan:
    """Turn the budget into samples."""
    plan = study.planned(partial(_new_plan, study, recipe), is_kept)
    check_shrinks(study, plan, recipe.architecture)
    return plan


def _new_plan(study: Study, recipe: Recipe) -> Plan:
    wishes = race_wishes(study, wishes_of(study), recipe)
    calibration = study.laboratory.calibrate(recipe) if wishes.needs_calibration else None
    halvings = halvings_of(study, recipe.architecture)
    if recipe.began_pretrained and wishes.search != "none":
        num_train, affordable = study.laboratory.num_selected(recipe), samples_for(study, calibration)
        wishes = transfer_wishes(wishes, num_train, affordable, halvings, is_trained=True)
    elif halvings:
        wishes = wishes.updated(least_images=0)  # a network that has to shrink is searched however few images there are
    return new_plan(study, wishes, recipe, calibration)


def train_baseline(study: Study, recipe: Recipe, plan: Plan, start: Start | None = None) -> Trunk:
    """The first model: the trunk of the generations, at a constant rate, or all there is where nothing is searched."""
    if plan.continued_samples:
        recipe = recipe.updated(schedule=warm())
    return first_trunk(study, plan, recipe, start, "baseline")


def sweep_space(study: Study, plan: Plan, recipe: Recipe) -> Found:
    """Whole trainings in a space instead of generations; the best of them, or those of a front."""
    tuning, tried = sweep(study, plan, recipe)
    reporting.keep_tuning(study, tuning)
    trained = {name: swept(recipe, climbed) for name, climbed in tried.items()}
    best = next(iter(trained.values()))
    trunk = Trunk(trained_of(study, best.recipe, best.trial), best.trial.samples, lineage=best.lineage)
    return Found(plan, trunk, confirm_final(study, trunk, trained))


def stop_reason(study: Study, plan: Plan, trunk: Trunk, front: Sequence[Member], number: int) -> str | None:
    """Why the study should stop before generation `number`: decided once, since it may depend on the clock."""
    latest = trunk.trained.first
    is_front = study.settings.objective.is_pareto
    in_vain = generations_in_vain(front, trunk.generations) if is_front else trunk.generations_in_vain
    target, patience = study.settings.budget.target_error, study.settings.search.patience
    if not is_front and (target or patience) and excess_of(study, trunk.trained.recipe.architecture) is not None:
        target = patience = None  # neither speaks for ending with a network that costs more than it may
    reason: str | None = study.decided(
        Question.STOP.key(number),
        lambda: why_stop(
            plan,
            seconds=study.clock.seconds,
            wh=study.energy.wh,
            steer_error=trunk.trained.evidence.error,
            target_error=target,
            in_vain=in_vain,
            patience=patience,
            slowdown=slowdown_of(plan, latest.samples, latest.seconds),
        ),
    )
    if reason:
        study.progress.say(f"the search stops before generation {number}: {reason}", "yellow")
    return reason


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


if __name__ == "__main__":
    from flows.cli import main

    sys.exit(main(["run", *sys.argv[1:]]))
