"""What training images go through: as configured, or found by what a brief network makes of transformed images."""

import time
from collections.abc import Sequence
from statistics import fmean, stdev

from flows import reporting
from flows.orchestration import publish_table
from flows.study import Study
from modules.recipe import Recipe
from modules.records import Part, TrialResult
from modules.report.augmentation import policy_markdown
from modules.search.augmentation import (
    CONTROLS,
    MOST_POLICY_COST,
    Candidate,
    Effort,
    FoundPolicy,
    brief_selection,
    candidates_of,
    certain,
    effort,
    gained,
    in_order_of_gain,
    sifted,
)
from modules.training.spec import Slice, Start

_CONSTANT = Part(target="modules.training.schedules.constant.Constant", arguments={"warmup_fraction": 0.1})
_ON = _CONSTANT.updated(arguments={"warmup_fraction": 0.0})


def augmented(study: Study, recipe: Recipe) -> Recipe:
    """The recipe with the configuration's transforms, or with those that are found among its candidates."""
    settings = study.settings.augmentation
    transforms = settings.transforms
    if settings.candidates:
        kept = reporting.kept_policy(study)
        found = kept or find_policy(study, recipe, settings.candidates)
        reporting.keep_policy(study, found)
        publish_table(f"augmentation-{study.name}", policy_markdown(found, study.laboratory.data.classes))
        transforms = found.transforms
    return recipe.updated(augmentation=transforms, augmentation_mode=settings.mode, augmentation_copies=settings.copies)


def find_policy(study: Study, recipe: Recipe, transforms: Sequence[Part]) -> FoundPolicy:
    """Train briefly, look through each candidate, learn of them all, look again, and try what is left."""
    since, laboratory = time.monotonic(), study.laboratory
    classes, num_train = laboratory.data.classes, laboratory.data.num_images["train"]
    spend = Effort.model_validate(study.decided("effort of finding augmentation", lambda: _effort(study, recipe)))
    recipe = recipe.updated(augmentation=(), selection=brief_selection(num_train), schedule=_CONSTANT)

    fresh = _train(study, recipe, "augmentation: brief", spend.brief_samples)
    learning = recipe.updated(augmentation=tuple(transforms), augmentation_mode="one", schedule=_ON)
    learnt = _train(study, learning, "augmentation: all candidates", spend.brief_samples, fresh)
    each = [[certain(part)] for part in transforms]
    fresh_looks = laboratory.look_through(recipe, fresh, each, "steer", spend.images)
    looks = laboratory.look_through(recipe, learnt, each, "steer", spend.images)
    training = laboratory.look_through(recipe, learnt, each, "train", spend.images)
    candidates = sifted(candidates_of(transforms, fresh_looks, looks, training), classes)
    candidates, noise, tried = _try(study, recipe, fresh, candidates, spend)
    candidates, cost = _compose(study, recipe, learnt, candidates, spend)
    unchanged, *pictures = laboratory.pictures_of(each)
    return FoundPolicy(
        candidates=tuple(
            candidate.updated(picture=picture) for candidate, picture in zip(candidates, pictures, strict=True)
        ),
        transforms=tuple(candidate.transform for candidate in candidates if candidate.kept),
        cost=cost,
        noise=noise,
        samples=2 * spend.brief_samples + tried * spend.slice_samples,
        seconds=time.monotonic() - since,
        unchanged=unchanged,
    )


def _effort(study: Study, recipe: Recipe) -> dict[str, int]:
    minutes = study.settings.budget.minutes
    rate = study.laboratory.calibrate(recipe).samples_per_second if minutes is not None else 0.0
    return dict(effort(minutes, rate, len(study.settings.augmentation.candidates)))


def _try(
    study: Study, recipe: Recipe, fresh: TrialResult, candidates: Sequence[Candidate], spend: Effort
) -> tuple[list[Candidate], float, int]:
    """What a slice with each candidate that is left does; the noise of slices; and how many were trained."""
    recipe = recipe.updated(schedule=_ON)
    control = [
        _train(study, recipe, "augmentation: control", spend.slice_samples, fresh, replicate).steer_loss
        for replicate in range(CONTROLS)
    ]
    left = [place for place, candidate in enumerate(candidates) if not candidate.why]
    losses = {}
    for place in left:
        trying = recipe.updated(augmentation=(candidates[place].transform,))
        role = f"augmentation: {candidates[place].transform.name}"
        losses[place] = _train(study, trying, role, spend.slice_samples, fresh).steer_loss
    return gained(candidates, losses, control[0]), stdev(control) / fmean(control), len(left) + CONTROLS


def _compose(
    study: Study, recipe: Recipe, learnt: TrialResult, candidates: Sequence[Candidate], spend: Effort
) -> tuple[list[Candidate], float]:
    """The best first, each as long as the policy as a whole is not too strong; and what the policy costs."""
    result, cost = list(candidates), 0.0
    for place in in_order_of_gain(candidates):
        with_it = [each.transform for number, each in enumerate(result) if each.kept or number == place]
        looks = study.laboratory.look_through(recipe, learnt, [with_it], "steer", spend.images)
        higher = looks.seen[0].loss / max(looks.plain.loss, 1e-9) - 1
        if higher <= MOST_POLICY_COST:
            cost = higher
            why = f"training with it lowers the loss on steer by {candidates[place].gain or 0.0:.1%}"
            result[place] = candidates[place].updated(kept=True, why=why)
        else:
            why = f"with it the whole policy would be too strong: {higher:.0%} (at most {MOST_POLICY_COST:.0%})"
            result[place] = candidates[place].updated(why=why)
    return result, cost


def _train(
    study: Study, recipe: Recipe, role: str, samples: int, start: TrialResult | None = None, replicate: int = 0
) -> TrialResult:
    first = 0 if start is None else start.samples
    from_state = None if start is None else Start(kind="trials", key=start.key, state_sha256=start.state_sha256)
    piece = Slice(samples=samples, evaluate_every=samples, first_sample=first)
    spec = study.laboratory.spec(recipe, piece, study.seed(replicate), from_state)
    return study.trial(spec, role, None, None)
