"""Finding a policy of augmentation: the trainings and looks, in their order; the rules are in `augmentation`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from modules.data.arrays import open_arrays
from modules.parts import build
from modules.recipe import Recipe
from modules.records import Part, TrialResult
from modules.search.augmentation import (
    MOST_POLICY_COST,
    Candidate,
    Effort,
    FoundPolicy,
    brief_selection,
    candidates_of,
    certain,
    floor,
    gained,
    higher,
    in_order_of_gain,
    sifted,
)
from modules.search.climbing import start_of
from modules.search.laboratory import Laboratory
from modules.search.rungs import constant, warm
from modules.selection.kept import keeping
from modules.training.spec import Slice, TrialSpec


@dataclass(frozen=True)
class Finder:
    """Where and for how long; `train` does a trial that it is told the role of, or finds it done."""

    laboratory: Laboratory
    effort: Effort
    seeds: Sequence[int]  # the first is that of all trainings, all are of the control
    train: Callable[[TrialSpec, str], TrialResult]

    def find(self, recipe: Recipe, transforms: Sequence[Part]) -> FoundPolicy:
        """Train briefly, look through each candidate, learn of them all, look again, and try what is left."""
        since, data, laboratory = time.monotonic(), self.laboratory.data, self.laboratory
        recipe = recipe.updated(augmentation=(), selection=self._brief(recipe.selection), schedule=warm())
        fresh = self._trained(recipe, "brief", self.effort.brief_samples)
        recipe = recipe.updated(schedule=constant())
        learning = recipe.updated(augmentation=tuple(transforms), augmentation_mode="one")
        learnt = self._trained(learning, "all candidates", self.effort.brief_samples, fresh)
        each, images = [[certain(part)] for part in transforms], self.effort.images
        candidates = candidates_of(
            transforms,
            laboratory.look_through(recipe, fresh, each, "steer", images),
            laboratory.look_through(recipe, learnt, each, "steer", images),
            laboratory.look_through(recipe, learnt, each, "train", images),
            self._floor,
        )
        candidates, noise, tried = self._tried(recipe, fresh, sifted(candidates, data.classes))
        candidates, cost = self._composed(recipe, learnt, candidates)
        unchanged, *pictures = laboratory.pictures_of(each)
        candidates = [one.updated(picture=picture) for one, picture in zip(candidates, pictures, strict=True)]
        return FoundPolicy(
            candidates=tuple(candidates),
            transforms=tuple(candidate.transform for candidate in candidates if candidate.kept),
            cost=cost,
            noise=noise,
            samples=2 * self.effort.brief_samples + tried * self.effort.slice_samples,
            num_trials=2 + tried,
            seconds=time.monotonic() - since,
            unchanged=unchanged,
        )

    def _brief(self, selection: Part) -> Part:
        """Of the images that a selection keeps, and under its labels, as many as the brief networks see."""
        laboratory = self.laboratory
        original = open_arrays(laboratory.home, laboratory.data)
        arrays, selected = original.under(selection)
        thin = brief_selection(len(selected))
        if selection.name == "KeepAll":
            return thin
        seen = selected[build(thin)(arrays.labels[selected], arrays.identities[selected])]
        return keeping(laboratory.store, arrays.identities[seen], original.labels[seen], arrays.labels[seen])

    def _tried(
        self, recipe: Recipe, fresh: TrialResult, candidates: Sequence[Candidate]
    ) -> tuple[list[Candidate], float, int]:
        """What a slice with each candidate that is left does; the noise of slices; and how many were trained."""
        samples = self.effort.slice_samples
        control = [self._trained(recipe, "control", samples, fresh, seed).steer_loss for seed in self.seeds]
        left = [place for place, candidate in enumerate(candidates) if not candidate.why]
        losses = {}
        for place in left:
            transform = candidates[place].transform
            trying = recipe.updated(augmentation=(transform,))
            losses[place] = self._trained(trying, transform.name, samples, fresh).steer_loss
        noise = stdev(control) / (fmean(control) + self._floor)
        return gained(candidates, losses, control[0], self._floor), noise, len(left) + len(control)

    def _composed(
        self, recipe: Recipe, learnt: TrialResult, candidates: Sequence[Candidate]
    ) -> tuple[list[Candidate], float]:
        """The best first, each as long as the policy as a whole is not too strong; and what the policy costs."""
        result, cost = list(candidates), 0.0
        for place in in_order_of_gain(candidates):
            policy = [each.transform for number, each in enumerate(result) if each.kept or number == place]
            looks = self.laboratory.look_through(recipe, learnt, [policy], "steer", self.effort.images)
            costs = higher(looks.seen[0].loss, looks.plain.loss, self._floor)
            kept = costs <= MOST_POLICY_COST
            if kept:
                cost = costs
                why = f"training with it lowers the loss on steer by {candidates[place].gain or 0.0:.1%}"
            else:
                why = f"with it the whole policy would be too strong: {costs:.0%} (at most {MOST_POLICY_COST:.0%})"
            result[place] = candidates[place].updated(kept=kept, why=why)
        return result, cost

    @property
    def _floor(self) -> float:
        data = self.laboratory.data
        return floor(len(data.classes), min(self.effort.images, data.num_images["steer"]))

    def _trained(
        self, recipe: Recipe, role: str, samples: int, start: TrialResult | None = None, seed: int | None = None
    ) -> TrialResult:
        piece = Slice(samples=samples, evaluate_every=samples, first_sample=start.samples if start else 0)
        state = start_of(start) if start else None
        spec = self.laboratory.spec(recipe, piece, self.seeds[0] if seed is None else seed, state)
        return self.train(spec, f"augmentation: {role}")
