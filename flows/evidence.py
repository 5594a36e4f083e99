"""What was trained, with what it said about *steer* and, where it is opened, about *confirm*."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from flows.study import Study
from flows.trials import attempted, first_piece, train_trial
from modules.recipe import Recipe
from modules.records import TrialResult
from modules.search.climbing import first_step
from modules.search.failed import Failed
from modules.search.generation import Child, Confirmation, Trained, Trunk
from modules.search.laboratory import evidence_of
from modules.search.plan import Plan
from modules.training.spec import Start


def trained_of(study: Study, recipe: Recipe, *trials: TrialResult) -> Trained:
    """Trials of a recipe, one a seed, side by side."""
    return Trained(recipe, trials, study.laboratory.steer_evidence(list(trials)))


def trained_again(study: Study, child: Child, second: TrialResult | Failed, spent: Sequence[TrialResult] = ()) -> Child:
    """A child with a second seed, `spent` on it besides; given up where that failed: one seed alone bears nothing."""
    once, child = child.trained, replace(child, spent=(*child.spent, *spent))
    if isinstance(second, Failed):
        return child.given_up(f"with a second seed: {second.reason}")
    assert once is not None, "only what was trained is trained again"
    return replace(child, trained=trained_of(study, once.recipe, *once.trials, second))


def first_trunk(study: Study, plan: Plan, recipe: Recipe, start: Start | None, role: str) -> Trunk:
    """What a study begins with: a first training and what it says about *steer*."""
    spec = study.laboratory.spec(recipe, first_piece(study, plan), study.seed(0), start)
    trial = train_trial(study, spec, role)
    return Trunk(trained_of(study, recipe, trial), position=trial.samples, lineage=(first_step(spec, trial),))


def confirmation_of(study: Study, kept: Trained | None, control: Trained) -> Confirmation | Failed | None:
    """What the kept child and its control say about *confirm*, which is opened for nothing else."""
    if kept is None:
        return None
    return attempted(study, f"to confirm {kept.first.key}", partial(_both_on_confirm, study, kept, control))


def _both_on_confirm(study: Study, kept: Trained, control: Trained) -> Confirmation:
    seen = [
        evidence_of([study.laboratory.observe(each.recipe, trial, "confirm") for trial in each.trials])
        for each in (kept, control)
    ]
    return Confirmation(*seen)
