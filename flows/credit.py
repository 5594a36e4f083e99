"""`espalier credit`: a study again without each of its automations in turn, under the same plan."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flows.decisions import is_of_the_clock
from flows.experiment import find_winner
from flows.opening import configured_task_runner, opened_study
from flows.orchestration import prepare, run_flow
from flows.study import Study, StudyFolder
from flows.translation import configured_limits
from modules.config import Settings, resolve, resolved_config
from modules.errors import ConfigError, StudyError
from modules.recipe import Recipe
from modules.records import Ledger
from modules.report.credit import credit_figure
from modules.report.report import on_white
from modules.search.contributions import Outcome, contributions
from modules.search.credits import Credits
from modules.search.generation import energy_of
from modules.search.limits import Cost, Limits
from modules.search.plan import Plan
from modules.store import write_text

_WHOLE = "with all"


class Automation(NamedTuple):
    """What a study does by itself: the overrides that leave it out, what stands in its place, whether it is used."""

    name: str
    overrides: tuple[str, ...]
    instead: str
    is_used: Callable[[Settings, Plan], bool]


AUTOMATIONS = (
    Automation("schedule", ("schedule=constant",), "a constant rate", lambda s, p: s.changes_rate),
    Automation(
        "learning rate",
        ("training.find_rate=false",),
        "the optimiser's default rate",
        lambda s, p: s.training.find_rate and s.training.learning_rate is None,
    ),
    Automation("batch growth", ("batching=fixed",), "a fixed batch", lambda s, p: s.changes_batches),
    Automation(
        "augmentation",
        ("augmentation=none", "mixing=none"),
        "the images as they are",
        lambda s, p: bool(s.augmentation.transforms or s.augmentation.candidates) or s.mixing is not None,
    ),
    Automation("selection", ("selection=none",), "all images", lambda s, p: s.selects_images),
    Automation("structure", (), "longer final training of the first network", lambda s, p: p.generations > 0),
    Automation("optimiser", ("search.optimizers=none",), "the first optimiser", lambda s, p: p.race_samples > 0),
    Automation(
        "hyper-parameters",
        ("search.space=null",),
        "those of the configuration",
        lambda s, p: p.tuning_before_samples + p.tuning_after_samples > 0,
    ),
    Automation("averaging", ("averaging=none",), "the weights themselves", lambda s, p: s.averages_weights),
    Automation("prior", ("prior=none",), "no earlier studies", lambda s, p: p.prior is not None),
)


def credit_study(name: str, home: Path, num_seeds: int, only: Sequence[str] = ()) -> Credits:
    """Leave each automation out in turn; what was trained before is found again. StudyError where that cannot be."""
    folder = StudyFolder(home, name)
    overrides, plan = _of_study(folder)
    settings = resolve(overrides)
    chosen = [one for one in AUTOMATIONS if not only or one.name in only]
    found_rate = folder.read("range_test.json") is not None  # not where it was taken over, or belongs to weights
    used = [one for one in chosen if one.is_used(settings, plan) and (one.name != "learning rate" or found_rate)]
    unused = [one.name for one in chosen if one not in used]
    tried = {one.name: _obstacle(folder, overrides, one, settings.seed) for one in used}
    obstacles = [(left_out, why) for left_out, why in tried.items() if why is not None]
    if only and obstacles:
        raise StudyError(f"{obstacles[0][0]} cannot be left out of study {name!r}: {obstacles[0][1]}")
    used = [one for one in used if tried[one.name] is None]
    seeds = [settings.seed + number for number in range(num_seeds)]
    run = partial(_outcome, folder, overrides, plan, seeds)
    whole = run(None)
    without = {one.name: (one.instead, run(one)) for one in used}
    credits = contributions(name, seeds, plan.total_samples, whole, without, unused, obstacles)
    folder.write("credit.json", credits.model_dump(mode="json"))
    write_text(folder.path / "figures" / "credit.svg", on_white(credit_figure(credits)))
    return credits


def _of_study(folder: StudyFolder) -> tuple[list[str], Plan]:
    """The overrides that a finished study was run with, and its plan."""
    summary, kept, plan = (folder.read(name) for name in ("summary.json", "overrides.json", "plan.json"))
    if summary is None or summary["state"] != "completed" or kept is None or plan is None:
        raise StudyError(f"study {folder.name!r} has not ended yet, so there is nothing to credit; run it first")
    parsed = Plan.model_validate(plan)
    if parsed.try_samples or not parsed.continued_samples:
        what = "a sweep" if parsed.try_samples else "search=none"
        raise StudyError(f"study {folder.name!r} is {what}; allowed are studies with search=edits or search=random")
    return [*kept["overrides"], *_start_of(folder)], parsed


def _start_of(folder: StudyFolder) -> list[str]:
    """The override for the study that this one went on from, also where no override said so, as in retraining."""
    settings = folder.read("settings.json") or {}
    start = settings.get("search", {}).get("start")
    return [] if start is None else [f"search.start={start}"]


def without(overrides: Sequence[str], automation: Automation | None, seed: int) -> list[str]:
    """The overrides of a variant: what belongs to the automation goes, what leaves it out comes.

    ConfigError where they contradict each other.
    """
    ours = [
        "budget.minutes=null",
        "budget.wh=null",
        "deployment=none",
        "explanation=none",
        "fresh=false",
        f"seed={seed}",
    ]
    ours += automation.overrides if automation else ()
    keys = {each.partition("=")[0] for each in ours} | {"study"}
    kept = [each for each in overrides if not any(_is_of(each, key) for key in keys)]
    variant = [*kept, *ours]
    if automation is not None and automation.name == "augmentation":
        beside = resolved_config(variant)["augmentation"]["transforms"]  # a preset may add some to those of the group
        variant += [f"~augmentation.transforms.{name}" for name in beside]
    return variant


def _obstacle(folder: StudyFolder, overrides: Sequence[str], automation: Automation, seed: int) -> str | None:
    """Why a study cannot be had without an automation, as where its space varies what would be left out."""
    if automation.name == "structure" and _had_to_shrink(folder, configured_limits(resolve(overrides))):
        return "its first network is beyond a limit, which only edits bring it below"
    try:
        resolve(without(overrides, automation, seed))
    except ConfigError as error:
        return str(error)
    return None


def _had_to_shrink(folder: StudyFolder, limits: Limits) -> bool:
    first = next((step.recipe for step in Ledger.read(folder.path / "ledger.json").lineage if step.recipe), None)
    return first is not None and limits.objection(Cost.of(Recipe.model_validate(first).architecture)) is not None


def _is_of(override: str, key: str) -> bool:
    name = override.partition("=")[0].lstrip("~+")
    return name == key or name.startswith(f"{key}.")


def plan_without(plan: Plan, automation: Automation | None) -> Plan:
    """The same samples, without a clock: what a search does not take goes to the final training."""
    plan = plan.updated(minutes=None, wh=None, calibration=None)  # its seconds stay: it was made for a clock
    if automation is None:
        return plan
    before = plan.total_samples
    if automation.name == "structure":
        plan = plan.updated(generations=0)
    elif automation.name == "optimiser":
        plan = plan.updated(race_samples=0, range_test_samples=0)
    elif automation.name == "hyper-parameters":
        plan = plan.updated(tuning_before_samples=0, tuning_after_samples=0)
    elif automation.name == "prior":
        plan = plan.updated(prior=None)
    freed = before - plan.total_samples
    if not plan.scratch_samples:
        return plan.updated(continued_samples=plan.continued_samples + freed)
    half = freed // 2
    return plan.updated(
        continued_samples=plan.continued_samples + freed - half, scratch_samples=plan.scratch_samples + half
    )


def _outcome(
    folder: StudyFolder, overrides: list[str], plan: Plan, seeds: Sequence[int], automation: Automation | None
) -> Outcome:
    ended = [_variant(folder, overrides, plan, seed, automation) for seed in seeds]
    return Outcome(
        wrong=np.stack([np.asarray(each["wrong"], dtype=bool) for each in ended]),
        seconds=tuple(each["seconds"] for each in ended),
        params=tuple(each["params"] for each in ended),
        energy_wh=tuple(each["energy_wh"] for each in ended),
    )


def _variant(
    folder: StudyFolder, overrides: list[str], plan: Plan, seed: int, automation: Automation | None
) -> dict[str, Any]:
    """One variant with one seed: run, or found to have been run."""
    label = f"without {automation.name}" if automation else _WHOLE
    name = f"{folder.name}/credit/{label.replace(' ', '-')}-{seed}"
    inner = StudyFolder(folder.home, name)
    kept = inner.read("ended.json")
    if kept is not None:
        return kept
    try:
        settings = resolve(without(overrides, automation, seed))
    except ConfigError as error:
        raise StudyError(f"study {folder.name!r} {label} is none: {error}") from error
    plan = plan_without(plan, automation)
    assert automation is None or not automation.is_used(settings, plan), f"{name} does not leave it out"
    prepare(settings.orchestrator, folder.home)
    with opened_study(settings, folder.home, f"espalier credit {folder.name}", tracked=False, name=name) as study:
        _give_start(folder, inner, plan)
        run_flow(
            partial(_ablation_flow, study),
            orchestrator=settings.orchestrator,
            home=folder.home,
            name="espalier credit",
            run_name=name,
            parameters={"study": folder.name},
            task_runner=configured_task_runner(settings),
        )
    ended = inner.read("ended.json")
    assert ended is not None
    return ended


def _give_start(folder: StudyFolder, inner: StudyFolder, plan: Plan) -> None:
    """The plan, the prior and the decisions that the study began with: they are no part of what is compared."""
    if inner.read("plan.json") is None:
        decisions = folder.read("decisions.json") or {}
        inner.write("decisions.json", {key: told for key, told in decisions.items() if not is_of_the_clock(key)})
        inner.write("prior.json", folder.read("prior.json") or {"lessons": []})
        inner.write("plan.json", plan.model_dump(mode="json"))  # the last: with it, all is there


def _ablation_flow(study: Study) -> None:
    """A study up to its choice on *confirm*; the test set stays closed."""
    winner = find_winner(study).final.winner
    trials = [run.result for run in study.runs.values()]
    ended = {
        "wrong": winner.seen.wrong.astype(int).tolist(),
        "seconds": sum(trial.seconds for trial in trials),
        "params": winner.recipe.architecture.params,
        "energy_wh": energy_of(trials),
        "finished_at": study.clock.now,
    }
    study.folder.write("ended.json", ended)
