"""Trainings, as all stages of a study share them: one trial, and the part of a training it is."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from flows.decisions import Question
from flows.orchestration import task
from flows.study import Study
from modules.digests import digest_of
from modules.errors import TrainingError
from modules.recipe import Recipe
from modules.records import Part, TrialResult
from modules.search.failed import Failed
from modules.search.laboratory import Inherited
from modules.search.plan import Plan
from modules.search.stopping import used_up
from modules.training.spec import Slice, TrialSpec
from modules.workers.pool import WorkerDiedError

R = TypeVar("R")


def train_trial(
    study: Study, spec: TrialSpec, role: str, generation: int | None = None, edit: str | None = None
) -> TrialResult:
    """One trial: found in the store, or trained in a worker process."""
    place = "" if generation is None else f", generation {generation}"
    return run_trial(study, spec, role, generation, edit, f"{edit or role}{place}")


@task("train {called}, seed {spec.seed}")
def run_trial(
    study: Study, spec: TrialSpec, role: str, generation: int | None, edit: str | None, called: str
) -> TrialResult:
    """One trial under the name that Prefect's page shows."""
    return study.trial(spec, role, generation, edit)


def attempted(study: Study, what: str, do: Callable[[], R]) -> R | Failed:
    """What comes of work that may fail without ending the study, or why nothing does.

    The reason is kept: what was killed, or took too long, might come to its end once the study goes on, which would
    then judge otherwise.
    """
    question, reason = Question.FAILED.key(what), ""
    if not study.has_decided(question):
        try:
            return do()
        except (TrainingError, WorkerDiedError) as error:
            reason = str(error)
    study.count_failure()
    return Failed(study.decided(question, lambda: reason))


def all_or_failed(came: Sequence[R | Failed]) -> list[R] | Failed:
    """What several attempts came to; the first of those that failed, if one failed."""
    failures = [each for each in came if isinstance(each, Failed)]
    return failures[0] if failures else [each for each in came if not isinstance(each, Failed)]


def attempt_trial(
    study: Study, spec: TrialSpec, role: str, generation: int | None = None, edit: str | None = None
) -> TrialResult | Failed:
    """As `train_trial`, for a training that the study can do without."""
    return attempted(study, f"to train {spec.key}", partial(train_trial, study, spec, role, generation, edit))


def attempt_edit(study: Study, edit: Part, recipe: Recipe, parent: TrialResult, seed: int) -> Inherited | Failed:
    """An edit on a parent's weights; what a worker dies of has failed like what does not fit."""
    key = digest_of([edit.model_dump(mode="json"), recipe.content_digest, parent.state_sha256, seed])
    inherit = partial(study.laboratory.inherit, edit, recipe, parent, seed)
    return attempted(study, f"to apply {edit.name} {key}", inherit)


def out_of_energy(study: Study, plan: Plan, training: str) -> str | None:
    """Why a training that can be left out is: the watt-hours are used up. Decided once, since it was measured."""
    if plan.wh is None:
        return None
    reason: str | None = study.decided(Question.LEFT_OUT.key(training), lambda: used_up(plan, study.energy.wh))
    return reason


def piece_of(study: Study, samples: int, evaluate_every: int, first_sample: int = 0) -> Slice:
    """A part of a training, with the configured patience for an exploding loss."""
    retreats = study.settings.training.max_retreats
    return Slice(samples=samples, evaluate_every=evaluate_every, first_sample=first_sample, max_retreats=retreats)


def first_piece(study: Study, plan: Plan) -> Slice:
    """What a study begins with; where nothing follows, with what may end it before."""
    training, piece = study.settings.training, piece_of(study, plan.baseline_samples, plan.evaluate_every)
    if plan.continued_samples:
        return piece
    return piece.updated(
        patience=training.patience,
        target_loss=training.target_loss,
        target_error=study.settings.budget.target_error,
    )
