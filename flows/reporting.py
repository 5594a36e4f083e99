"""What a study says and leaves behind: lines on the console, its ledger, summary and report, its page in MLflow."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from flows.bundle_reporting import bundle_view
from flows.decisions import is_stop
from flows.deploying import Deployed, versions
from flows.registering import registered
from flows.selection_reporting import selection_view
from flows.study import Study
from modules.config import Settings
from modules.data.look import look_at
from modules.errors import StudyError
from modules.evaluation.outputs import Outputs
from modules.explanation.records import Explanation
from modules.recipe import Recipe
from modules.records import DataRecord, GenerationRecord, Ledger, Part, RangeTest, Record
from modules.report.look import SHEET, write_look
from modules.report.report import draw_figures, write_figures
from modules.report.report import write_report as write_html
from modules.report.summary import Champion, Counts, FrontModel, summary_of
from modules.report.table import study_table
from modules.report.view import LayerView, StudyView
from modules.report.wording import headline
from modules.search.augmentation import FoundPolicy
from modules.search.credits import Credits
from modules.search.final import Final
from modules.search.gears import Gears
from modules.search.generation import Trunk
from modules.search.plan import Plan
from modules.search.plan_in_words import cost_in_words
from modules.search.transfer import Heads
from modules.search.tries import Tuning
from modules.store import explained_write_errors, write_text
from modules.tracking.flattening import flattened
from modules.tracking.records import StudyEnd, StudyRun
from modules.tracking.sink import without_password

R = TypeVar("R", bound=Record)

_COLOUR = "modules.augmentation.colour.Colour"


def say_data(study: Study, data: DataRecord) -> None:
    """How many images each part has."""
    counts = ", ".join(f"{count:,} {part}" for part, count in data.num_images.items())
    shape = " x ".join(map(str, data.image_shape))
    study.progress.say(f"data {data.name}: {counts} images of {shape}, {len(data.classes)} classes", "bold")
    for note in data.notes:
        study.progress.say(f"note: {note}")


def keep_look(study: Study, data: DataRecord) -> None:
    """A look at the images beside the study, before anything is trained."""
    with explained_write_errors(study.folder.path):
        write_look(study.folder.path / "data", look_at(study.home, data), study.home)


def say_recipe(study: Study, recipe: Recipe) -> None:
    """What the study starts with."""
    architecture = recipe.architecture
    policy = ", ".join(part.name for part in recipe.augmentation) or "none"
    study.progress.say(
        f"first network: {architecture.params:,} parameters, {architecture.flops / 1e6:.2f} MFLOP an image; "
        f"{recipe.optimizer.name} at {recipe.learning_rate:g}, batches of {recipe.batch_size}; augmentation: {policy}"
    )


def say_idle_transforms(study: Study, transforms: Sequence[Part]) -> None:
    """What will do nothing to these images."""
    if study.laboratory.data.image_shape[0] != 3:
        for part in transforms:
            if part.target == _COLOUR:
                study.progress.say(
                    "note: these images have no colour, so that augmentation=colour changes nothing", "yellow"
                )


def keep_policy(study: Study, found: FoundPolicy) -> None:
    """Say which policy was found, and keep what was measured for the report."""
    study.folder.write("augmentation.json", found.model_dump(mode="json"))
    kept = "; ".join(candidate.name for candidate in found.candidates if candidate.kept) or "none"
    dropped = sum(not candidate.kept for candidate in found.candidates)
    spent = f"{found.seconds:.1f} s, {found.samples:,} samples"
    study.progress.say(f"augmentation found: {kept}; {dropped} candidates were dropped ({spent})")


def keep_heads(study: Study, heads: Heads) -> None:
    """Keep what heads on frozen features came to for the report, and say whether more images would help."""
    study.folder.write("heads.json", heads.model_dump(mode="json"))
    if heads.curve is not None:
        study.progress.say(heads.curve.sentence)


def keep_gears(study: Study, gears: Gears) -> None:
    """Keep how gears were judged by cross-validation, and say which rates were chosen."""
    study.folder.write("gears.json", gears.model_dump(mode="json"))
    for one in gears.tried:
        came = "failed" if one.loss is None else f"cross-entropy {one.loss:.4f} on {one.asked:,} images"
        chosen = ", the lowest of this gear" if one.chosen else ""
        study.progress.say(f"  gear {one.gear} at {one.learning_rate:g} on one fold: {came}{chosen}")


def keep_rate(study: Study, found: RangeTest) -> None:
    """Say what the range test found, and keep it for the report."""
    study.folder.write("range_test.json", found.model_dump(mode="json"))
    low, high = found.rates[0], found.rates[-1]
    study.progress.say(f"learning rate: {found.picked:g}, from a range test of {low:.1e} to {high:.1e}")


def keep_tuning(study: Study, tuning: Tuning) -> None:
    """Keep the account of a search for hyper-parameters, and say what came of it."""
    study.folder.write(f"tuning-{tuning.when}.json", tuning.model_dump(mode="json"))
    stopped = sum(one.state == "stopped" for one in tuning.tries)
    best = f"the lowest loss is {tuning.best.loss:.4f}, try {tuning.best.number}" if tuning.best else "none ended"
    study.progress.say(f"{len(tuning.tries)} tries of {tuning.space.name}, {stopped} of them stopped early: {best}")


def say_prior(study: Study) -> None:
    """Which earlier studies there are, and what they shift the odds of."""
    names = [lesson.study for lesson in study.prior.lessons]
    if not names:
        return
    edits = sorted({edit for lesson in study.prior.lessons for edit in lesson.edits})
    counts = {edit: study.prior.earlier(edit) for edit in edits}
    shown = ", ".join(f"{edit} {each.kept} of {each.tried}" for edit, each in counts.items())
    odds = f"the odds of edits start from what was kept there ({shown})" if shown else "no edit was tried there"
    listed = ", ".join(names[-5:]) + (f" and {len(names) - 5} others" if len(names) > 5 else "")
    search = study.settings.search.kind == "edits"
    study.learnt("edits", f"earlier studies ({listed}): {odds if search else 'known, and not asked about edits'}")


def say_generation(study: Study, record: GenerationRecord) -> None:
    """What became of each edit."""
    for row in record.rows:
        if row.edit != "control":
            study.progress.say(f"  {row.description}: {row.verdict}", "green" if row.kept else "")


def track_start(study: Study, recipe: Recipe) -> None:
    """The study's run in MLflow, and what `espalier sync` makes it from again."""
    parameters = flattened(recipe.model_dump(mode="json", exclude={"architecture"}))
    run = StudyRun(
        name=study.name,
        data=study.laboratory.data,
        command=study.command,
        started_at=study.clock.started_at,
        parameters={**parameters, "seed": str(study.settings.seed), "search": study.settings.search.kind},
    )
    study.folder.write("study_run.json", run.model_dump(mode="json"))
    study.is_tracked = True
    if study.sink is not None:
        study.sink.write_study(run)
        for trial in study.runs.values():
            study.sink.write_trial(study.name, trial)


def write_ledger(study: Study, trunk: Trunk, final: Final | None = None) -> Ledger:
    """The ledger as far as it goes; one that goes to the end stays, as a study that is run again comes to the same."""
    ledger = Ledger(
        study=study.name,
        baseline=trunk.lineage[0].trial,
        generations=trunk.generations,
        final=final.rows if final else (),
        lineage=final.winner.lineage if final else trunk.lineage,
    )
    ledger, path = ledger.with_co2(study.energy.grid.grams).sealed(), study.folder.path / "ledger.json"
    if final is not None or not _has_ended(path):
        write_text(path, ledger.model_dump_json(indent=1))
    return ledger


def _has_ended(ledger: Path) -> bool:
    with suppress(OSError, StudyError):
        return bool(Ledger.read(ledger).final)
    return False


def write_study(
    study: Study,
    plan: Plan,
    trunk: Trunk,
    final: Final,
    test: Outputs,
    explanation: Explanation | None,
    deployed: Deployed,
) -> StudyView:
    """Everything that a finished study leaves beside its models: ledger, report, summary, its page in MLflow."""
    folder = study.folder.path
    with explained_write_errors(folder):
        ledger = write_ledger(study, trunk, final)
        champion = _champion(final, test, deployed.latency_ms)
        summary = _summary(study, "completed", champion, deployed.front, deployed.bundle)
        view = _view(study, plan, ledger, final, test, summary).updated(explanation=explanation)
        drawings = draw_figures(view)
        figures = write_figures(folder / "figures", view, drawings)
        write_html(folder / "report.html", view, drawings)
        write_text(folder / "view.json", view.model_dump_json(indent=1))
        end = _completed(study, final, test, (*figures, folder / "data" / SHEET), view)
        _keep_end(study, end)  # before the summary: what that calls completed has to be so in MLflow, too
        study.folder.write("summary.json", summary)
        _show_end(study, end)
        _track_bundle(study, deployed)
        study.progress.console.print(study_table(view))
        return view


def write_interrupted(study: Study, error: BaseException) -> None:
    """A summary of a study that did not end, unless it had ended before; MLflow shows it as killed, failed or ended."""
    if not study.is_open:
        return
    before = study.folder.read("summary.json")
    if before is not None and before["state"] == "completed":
        end = _kept(study, "study_end.json", StudyEnd)
        if end is not None:
            _show_end(study, end)
        return
    state: Literal["interrupted", "failed"] = "interrupted" if not isinstance(error, Exception) else "failed"
    end = StudyEnd(name=study.name, state=state, finished_at=study.clock.now, seconds=study.clock.seconds)
    _keep_end(study, end)
    study.folder.write("summary.json", _summary(study, state, None))
    _show_end(study, end)


def _keep_end(study: Study, end: StudyEnd) -> None:
    study.folder.write("study_end.json", end.model_dump(mode="json"))


def _show_end(study: Study, end: StudyEnd) -> None:
    if study.sink is not None and study.is_tracked:
        study.sink.finish_study(end, set(study.folder.trials))


def _champion(final: Final, test: Outputs, latency_ms: float) -> Champion:
    winner = final.winner
    return Champion(
        recipe=winner.recipe.content_digest,
        weights_sha256=winner.trial.weights_sha256,
        params=winner.recipe.architecture.params,
        flops=winner.recipe.architecture.flops,
        val_error=winner.seen.error,
        test_error=test.error,
        latency_ms=latency_ms,
    )


def _summary(
    study: Study, state: str, champion: Champion | None, front: Sequence[FrontModel] = (), bundle: str | None = None
) -> dict[str, Any]:
    relative = study.folder.path.relative_to(study.home).as_posix()
    return summary_of(
        study=study.name,
        state=state,
        seed=study.settings.seed,
        data=study.laboratory.data,
        seconds=study.clock.seconds,
        energy=study.energy.summary(study.laboratory.numerics.device, champion.latency_ms if champion else None),
        test_openings=1 if champion else 0,
        trials=Counts(count=len(study.runs), reused=study.reused, failed=study.failed),
        champion=champion,
        ledger=f"{relative}/ledger.json" if champion else None,
        report=f"{relative}/report.html" if champion else None,
        command=study.command,
        versions=versions(),
        finished_at=study.clock.now,
        front=front,
        bundle=bundle,
    )


def _view(study: Study, plan: Plan, ledger: Ledger, final: Final, test: Outputs, summary: dict[str, Any]) -> StudyView:
    num_classes = len(study.laboratory.data.classes)
    confusion = np.zeros((num_classes, num_classes), dtype=int)
    np.add.at(confusion, (test.labels, test.predicted), 1)
    return StudyView(
        summary=summary,
        ledger=ledger,
        trials={key: run.result for key, run in study.runs.items()},
        data=study.laboratory.data,
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        plan=plan.model_dump(mode="json"),
        command=study.command,
        asked=_asked(study.settings),
        versions=summary["versions"],
        stop_reason=_stop_reason(study, plan),
        layers=_layers(final.winner.recipe),
        selection=selection_view(study, final.winner.seen),
        look=look_at(study.home, study.laboratory.data),
        range_test=_range_test(study),
        found_policy=kept_policy(study),
        tunings=_tunings(study),
        heads=_kept(study, "heads.json", Heads),
        gears=_kept(study, "gears.json", Gears),
        learnt=tuple((study.folder.read("learnt.json") or {}).values()),
        machine_test_openings=study.laboratory.machine_test_openings(),
        report=str(study.folder.path / "report.html"),
        tracking=_shown_tracking(study),
        bundle=bundle_view(study.home, summary["bundle"]),
    )


def _asked(settings: Settings) -> str:
    """What the study looks for and within what, as far as it is not a matter of course."""
    objective, budget = settings.objective, settings.budget
    goal = {
        "accuracy": "the lowest error",
        "balanced_accuracy": "the lowest mean error of the classes",
        "pareto": "the front of error against cost",
    }[objective.kind]
    limits = {
        "{:,} parameters": objective.max_params,
        "{:,} FLOP an image": objective.max_flops,
        "{:g} ms an image": objective.max_latency_ms,
        "{:g} minutes": budget.minutes,
        "{:,} trials": budget.trials,
        "{:,} samples": budget.samples,
        "{:g} Wh": budget.wh,
    }
    given = ", ".join(text.format(value) for text, value in limits.items() if value is not None)
    enough = "" if budget.target_error is None else f", until an error of {budget.target_error:.2%} is reached"
    return f"{goal}, with at most {given}{enough}" if given else f"{goal}, without a limit on cost or time{enough}"


def kept_policy(study: Study) -> FoundPolicy | None:
    """What the study found; None where its augmentation was given."""
    kept = study.folder.read("augmentation.json")
    return FoundPolicy.model_validate(kept) if kept else None


def _kept(study: Study, name: str, kind: type[R]) -> R | None:
    content = study.folder.read(name)
    return None if content is None else kind.model_validate(content)


def _tunings(study: Study) -> tuple[Tuning, ...]:
    kept = [study.folder.read(f"tuning-{when}.json") for when in ("sweep", "before", "after")]
    return tuple(Tuning.model_validate(each) for each in kept if each is not None)


def _shown_tracking(study: Study) -> str | None:
    if study.sink is None:
        return None
    uri = study.sink.uri
    return str(study.home / "mlflow.db") if uri.startswith("sqlite:") else without_password(uri)


def _range_test(study: Study) -> RangeTest | None:
    kept = study.folder.read("range_test.json")
    return RangeTest.model_validate(kept) if kept else None


def _stop_reason(study: Study, plan: Plan) -> str:
    decisions = study.folder.read("decisions.json") or {}
    reasons = [answer for key, answer in decisions.items() if is_stop(key) and answer]
    if reasons:
        return str(reasons[0])
    if plan.try_samples:
        swept = _kept(study, "tuning-sweep.json", Tuning)
        return swept.ended_by if swept and swept.ended_by else f"all tries of the plan were made ({plan.note})"
    if not plan.generations:
        return "nothing was to be searched"
    return f"all generations of the plan were run ({plan.generations})"


def _layers(recipe: Recipe) -> tuple[LayerView, ...]:
    architecture = recipe.architecture
    shapes = architecture.shapes()
    return tuple(
        LayerView(
            name=node.name,
            kind=node.op,
            output=" x ".join(map(str, shapes[node.name])),
            params=sum(
                int(np.prod(spec.shape)) for spec in node.tensors(shapes[node.inputs[0]]).values() if spec.trainable
            ),
        )
        for node in architecture.nodes
    )


def _completed(study: Study, final: Final, test: Outputs, figures: tuple[Path, ...], view: StudyView) -> StudyEnd:
    winner = final.winner
    champion = study.runs[winner.trial.key].updated(
        confirm_loss=winner.seen.loss, confirm_error=winner.seen.error, test_loss=test.loss, test_error=test.error
    )
    folder = study.folder.path
    names = ("report.html", "ledger.json", "summary.json", "plan.json", "augmentation.json")  # if they are there
    top = [folder / name for name in names]
    return StudyEnd(
        name=study.name,
        state="completed",
        finished_at=study.clock.now,
        seconds=study.clock.seconds,
        metrics=_energy_metrics(view.summary),
        champion=champion,
        description=f"{headline(view)}\n\nThe whole of it is `report.html` under *Artifacts*.",
        artifacts={"": _relative(study, top), "figures": _relative(study, figures)},
    )


def _track_bundle(study: Study, deployed: Deployed) -> None:
    if study.sink is not None and deployed.bundle is not None:
        study.sink.register_bundle(study.name, registered(study.home / deployed.bundle))


def _energy_metrics(summary: dict[str, Any]) -> dict[str, float]:
    names = {"wh": "study/energy_wh", "co2_g": "study/co2_g", "inference_mj": "model/inference_mj"}
    figures = summary["energy"]
    return {name: figures[key] for key, name in names.items() if figures[key] is not None}


def _relative(study: Study, paths: Any) -> tuple[str, ...]:
    return tuple(path.relative_to(study.home).as_posix() for path in paths)


def say_plan(study: Study, plan: Plan) -> None:
    """What the plan comes to, in samples and, where it was calibrated, in minutes."""
    for line in cost_in_words(plan, study.laboratory.data.num_images["train"]):
        study.progress.console.print(line)


def rewrite_report(study: str, home: Path) -> Path:
    """Write a finished study's report again from what it left; returns the report's path."""
    folder = home / "studies" / study
    view_path = folder / "view.json"
    if not view_path.exists():
        raise StudyError(f"study {study!r} has not ended yet, so there is nothing to report; run it to its end first")
    view, credit_path = StudyView.model_validate_json(view_path.read_text()), folder / "credit.json"
    view = view.updated(bundle=bundle_view(home, view.summary["bundle"]))  # it may have been to the gate since
    if credit_path.exists():
        view = view.updated(credits=Credits.model_validate_json(credit_path.read_text()))
    write_html(folder / "report.html", view)
    return folder / "report.html"
