"""What was trained, with what it said about *steer* and, where it is opened, about *confirm*."""

from flows.study import Study
from modules.recipe import Recipe
from modules.records import TrialResult
from modules.search.generation import Confirmation, Trained
from modules.search.laboratory import evidence_of


def trained_of(study: Study, recipe: Recipe, *trials: TrialResult) -> Trained:
    """Trials of a recipe, one a seed, side by side."""
    return Trained(recipe, trials, study.laboratory.steer_evidence(list(trials)))


def confirmation_of(study: Study, kept: Trained | None, control: Trained) -> Confirmation | None:
    """What the kept child and its control say about *confirm*, which is opened for nothing else."""
    if kept is None:
        return None
    seen = [
        evidence_of([study.laboratory.observe(each.recipe, trial, "confirm") for trial in each.trials])
        for each in (kept, control)
    ]
    return Confirmation(*seen)
