"""What training images go through: as configured, or found by what a brief network makes of transformed images."""

from collections.abc import Sequence

from flows import reporting
from flows.allowance import affordable_samples
from flows.decisions import Question
from flows.orchestration import publish_table
from flows.study import Study
from modules.augmentation.strength import strengthened
from modules.recipe import Recipe
from modules.records import Part
from modules.report.augmentation import policy_markdown
from modules.search.augmentation import BUDGET_SHARE, CONTROLS, Effort, FoundPolicy, effort, most_trials
from modules.search.finding import Finder


def augmented(study: Study, recipe: Recipe) -> Recipe:
    """The recipe with the configuration's transforms, or with those that are found among its candidates."""
    settings = study.settings.augmentation
    if settings.candidates:
        found, kept = find_policy(study, recipe, settings.candidates), reporting.kept_policy(study)
        if kept is not None:
            found = found.updated(seconds=kept.seconds)  # now all of it came from the store
        study.policy = found
        reporting.keep_policy(study, found)
        publish_table(f"augmentation-{study.name}", policy_markdown(found, study.laboratory.data.classes))
    transforms = strengthened(own_transforms(study), settings.strength)
    reporting.say_idle_transforms(study, transforms)
    return recipe.updated(augmentation=transforms, augmentation_mode=settings.mode, augmentation_copies=settings.copies)


def own_transforms(study: Study) -> Sequence[Part]:
    """Those that a study's strength is of: configured, or found."""
    return study.settings.augmentation.transforms if study.policy is None else study.policy.transforms


def find_policy(study: Study, recipe: Recipe, candidates: Sequence[Part]) -> FoundPolicy:
    """By short trainings, which are trials like any other."""
    decided = study.decided(Question.AUGMENTATION_EFFORT.key(), lambda: _effort(study, recipe, candidates))
    finder = Finder(
        study.laboratory,
        Effort.model_validate(decided),
        seeds=[study.seed(replicate) for replicate in range(CONTROLS)],
        train=lambda spec, role: study.trial(spec, role, None, None),
    )
    return finder.find(recipe, candidates)


def _effort(study: Study, recipe: Recipe, candidates: Sequence[Part]) -> dict[str, int]:
    num_trials = most_trials(candidates)
    affordable = affordable_samples(study, recipe, BUDGET_SHARE, num_trials, "augmentation=auto")
    return dict(effort(affordable, candidates))
