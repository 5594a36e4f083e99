"""Selections that have to earn their place: each is judged against all images and a random subset of its size."""

from dataclasses import dataclass

import numpy as np

from modules.evaluation.intervals import ALPHA
from modules.evaluation.significance import holm
from modules.records import Interval, Part, PartName, TrialResult
from modules.search.judging import Evidence, effect_of, errs_more, pooled_noise
from modules.search.laboratory import evidence_of
from modules.search.selecting.clean import cleaned
from modules.search.selecting.cross_validation import cross_validate
from modules.search.selecting.found import Compared, FoundSelection
from modules.search.selecting.prune import end_by_number, hardness_of, pruned
from modules.search.selecting.suspicion import WORTH_CLEANING, listed, suspects_by_part
from modules.search.selecting.workplace import KEEP_ALL, Workplace
from modules.selection.label_errors import Rule, Suspects

_SEEDS = 2


@dataclass(frozen=True)
class Tried:
    """A selection, trained with each seed; evidence is of *steer*."""

    name: str
    selection: Part
    num_images: int
    trials: tuple[TrialResult, ...]
    everything: Evidence
    trusted: Evidence  # without the images whose labels are suspected

    @property
    def samples(self) -> int:
        """That each training saw."""
        return self.trials[0].samples


@dataclass(frozen=True)
class Candidate:
    """A selection and the random subset of its size that it has to beat. One that is smaller by intent may be worse
    than all by the margin, since it saves time; one that cleans has to be better."""

    tried: Tried
    random: Tried
    saves: bool


class Auto:
    """Tries clean and prune with `judged_epochs` of training each; keeps the one that the judging says so of, if any.

    *Steer* may hold wrong labels itself. A network that was trained on clean labels is surer of itself, so that each
    wrong label of *steer* speaks against it; the comparison is therefore made on the images of *steer* that are not
    suspected, and guarded by McNemar's test on the errors of all of them. The ledger has both.
    """

    def __init__(
        self,
        folds: int = 4,
        epochs: float = 3.0,
        judged_epochs: float = 4.0,
        fraction: float = 0.5,
        rule: Rule = "both",
        confidence: float = 0.6,
    ) -> None:
        self.folds = folds
        self.epochs = epochs
        self.judged_epochs = judged_epochs
        self.fraction = fraction
        self.rule = rule
        self.confidence = confidence
        self.num_trials = folds + _SEEDS * 5  # all images, two candidates and a random subset for each

    def epochs_trained(self) -> float:
        """In epochs of all training images, what finding it takes."""
        return (self.folds - 1) * self.epochs + _SEEDS * self.judged_epochs * (3 + 2 * self.fraction)

    def find(self, workplace: Workplace) -> FoundSelection:
        """Cross-validate, train the candidates and their controls, judge."""
        validation = cross_validate(workplace, self.folds, self.epochs)
        suspects = suspects_by_part(validation, self.rule, self.confidence)
        clean, _, notes = cleaned(validation, suspects["train"], "left_out")
        num_images = len(validation.folds)
        control = self._tried(workplace, suspects, "all", KEEP_ALL, workplace.samples(KEEP_ALL, self.judged_epochs))
        candidates = []
        worth_cleaning = num_images - workplace.count(clean) >= WORTH_CLEANING * num_images
        if worth_cleaning:
            candidates.append(self._candidate(workplace, suspects, "clean", clean, control.samples, saves=False))
        scores, end = hardness_of(validation), end_by_number(workplace, self.fraction)
        if worth_cleaning and end == "hard":  # among the hardest are the wrong labels
            scores[suspects["train"].indices] = -1.0
        half = pruned(workplace, scores, self.fraction, end)
        samples = workplace.samples(half, self.judged_epochs)
        candidates.append(self._candidate(workplace, suspects, "prune", half, samples, saves=True))
        rows, winner = compare(control, candidates, workplace.margin)
        trials = [*validation.trials, *control.trials]
        trials += [trial for one in candidates for trial in (*one.tried.trials, *one.random.trials)]
        found = FoundSelection(
            method="auto",
            selection=winner.selection if winner else KEEP_ALL,
            num_images=num_images,
            num_kept=winner.num_images if winner else num_images,
            sentences=(_sentence(winner, num_images), *(notes if winner and winner.selection == clean else ())),
            num_suspects={part: len(which) for part, which in suspects.items()},
            suspects=listed(validation, suspects),
            compared=rows,
        ).with_trials(trials)
        return _confirmed(workplace, found, winner, control, suspects) if winner else found

    def _candidate(
        self,
        workplace: Workplace,
        suspects: dict[PartName, Suspects],
        name: str,
        selection: Part,
        samples: int,
        saves: bool,
    ) -> Candidate:
        return Candidate(
            self._tried(workplace, suspects, name, selection, samples),
            self._tried(workplace, suspects, f"random instead of {name}", workplace.random_like(selection), samples),
            saves,
        )

    def _tried(
        self, workplace: Workplace, suspects: dict[PartName, Suspects], name: str, selection: Part, samples: int
    ) -> Tried:
        trials = tuple(
            workplace.trained_on(selection, 0.0, replicate, f"selection: {name}", samples)
            for replicate in range(_SEEDS)
        )
        evidence = workplace.laboratory.steer_evidence(list(trials))
        trusted = trusted_evidence(evidence, suspects["steer"])
        return Tried(name, selection, workplace.count(selection), trials, evidence, trusted)


def trusted_evidence(evidence: Evidence, suspects: Suspects) -> Evidence:
    """Without the images whose labels are suspected; with all where nothing else would be left."""
    trusted = np.ones(evidence.losses.shape[1], dtype=bool)
    trusted[suspects.indices] = False
    if trusted.sum() < 2:
        return evidence
    weights = np.broadcast_to(evidence.weights, trusted.shape)[trusted]
    return Evidence(evidence.losses[:, trusted], evidence.wrong[:, trusted], weights)


def compare(control: Tried, candidates: list[Candidate], margin: float) -> tuple[tuple[Compared, ...], Tried | None]:
    """A row for each that was tried, and the candidate that is kept.

    It has to be better than the control (one that saves: not worse by more than the margin) and better than a random
    subset of its size; its p-value is the larger of the two, adjusted by Holm over the candidates.
    """
    tried = [control, *(one for candidate in candidates for one in (candidate.tried, candidate.random))]
    noise = pooled_noise([_means(one.trusted) for one in tried], control.trusted.loss)
    effects = [effect_of(one.tried.trusted, control.trusted, noise) for one in candidates]
    against_random = [effect_of(one.tried.trusted, one.random.trusted, noise) for one in candidates]
    allowed = [margin * control.trusted.loss if one.saves else 0.0 for one in candidates]
    against = [
        (effect.p_below(most), chance.p_below(0.0))
        for effect, chance, most in zip(effects, against_random, allowed, strict=True)
    ]
    p_values = holm([max(pair) for pair in against])
    passing = [
        index
        for index, (one, p_value) in enumerate(zip(candidates, p_values, strict=True))
        if p_value < ALPHA and errs_more(one.tried.everything, control.everything) >= ALPHA
    ]
    best = max(passing, key=lambda index: -effects[index].estimate + allowed[index], default=None)
    rows = [_row(control, verdict="the reference")]
    for index, one in enumerate(candidates):
        kept = index == best
        verdict = "kept" if kept else f"not kept: {_why_not(one, control, against[index], p_values[index])}"
        row = _row(one.tried, verdict).model_copy(
            update={
                "effect": effects[index].interval,
                "against_random": against_random[index].interval,
                "p_value": p_values[index],
                "kept": kept,
            }
        )
        rows += [row, _row(one.random, "its control", effect_of(one.random.trusted, control.trusted, noise).interval)]
    return tuple(rows), None if best is None else candidates[best].tried


def _why_not(candidate: Candidate, control: Tried, against: tuple[float, float], p_value: float) -> str:
    """By the larger of the p-values against all images and against a random subset; `p_value` is that one, adjusted."""
    if errs_more(candidate.tried.everything, control.everything) < ALPHA:
        return "it errs more often than all images do (McNemar)"
    if p_value < ALPHA:
        return "another one gains more"
    against_all, against_random = against
    if against_random > against_all:
        missing = "no better than a random subset of its size"
    else:
        missing = "may be worse than all images by more than the margin" if candidate.saves else "no evidence of a gain"
    return f"{missing} (p = {p_value:.2f})"


def _row(tried: Tried, verdict: str, effect: Interval | None = None) -> Compared:
    return Compared(
        name=tried.name,
        num_images=tried.num_images,
        samples=tried.samples,
        seconds=sum(trial.seconds for trial in tried.trials) / len(tried.trials),
        trusted_loss=tried.trusted.loss,
        trusted_error=tried.trusted.error,
        loss=tried.everything.loss,
        error=tried.everything.error,
        effect=effect,
        verdict=verdict,
    )


def _sentence(winner: Tried | None, num_images: int) -> str:
    if winner is None:
        return f"trained on: all {num_images:,} images; no selection earned its place"
    return f"trained on: {winner.num_images:,} of {num_images:,} images ({winner.name})"


def _means(evidence: Evidence) -> list[float]:
    return [float(mean) for mean in evidence.losses.mean(axis=1)]


def _confirmed(
    workplace: Workplace,
    found: FoundSelection,
    winner: Tried,
    control: Tried,
    suspects: dict[PartName, Suspects],
) -> FoundSelection:
    """With the effect on *confirm*, which is opened for what is kept, with and without its suspects."""
    winners, controls = (
        evidence_of([workplace.laboratory.observe(workplace.recipe, trial, "confirm") for trial in one.trials])
        for one in (winner, control)
    )
    noise = pooled_noise([_means(winner.trusted), _means(control.trusted)], control.trusted.loss)
    trusted = [trusted_evidence(evidence, suspects["confirm"]) for evidence in (winners, controls)]
    return found.updated(
        confirmed=effect_of(trusted[0], trusted[1], noise).interval,
        confirmed_on_all=effect_of(winners, controls, noise).interval,
    )
