"""One generation: what is known about its children and its control, and what is kept.

The judging happens in two steps. Every edit is first trained with one seed; the one that promises most for its cost is
trained with a second, and only then is anything decided. *Confirm* is opened for what is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from modules.evaluation.intervals import ALPHA
from modules.recipe import Recipe
from modules.records import Certificate, GenerationRecord, LedgerRow, Part, Step, TrialResult
from modules.search.failed import Failed
from modules.search.judging import (
    PRIOR_PAIRED,
    Candidate,
    Evidence,
    Noise,
    Noises,
    Verdict,
    compared,
    confirms,
    judge,
    pair_differences,
    pooled_noise,
    smallest_effect,
)
from modules.search.proposal import Proposal


@dataclass(frozen=True)
class Trained:
    """A recipe of a generation with its trials, one a seed, and what they said about *steer*."""

    recipe: Recipe
    trials: tuple[TrialResult, ...]
    evidence: Evidence
    spent: tuple[TrialResult, ...] = ()  # on it besides its trials

    @property
    def first(self) -> TrialResult:
        """The trial with the first seed, from which training goes on if this is the winner."""
        return self.trials[0]


@dataclass(frozen=True, kw_only=True)
class Child:
    """A proposed edit, applied and trained; or `refused`, with the reason."""

    proposal: Proposal
    description: str
    trained: Trained | None = None
    certificate: Certificate | None = None
    refused: str | None = None
    seconds: float = 0.0  # of a training that was given up
    spent: tuple[TrialResult, ...] = ()  # on it besides the trials that are judged

    def given_up(self, reason: str) -> "Child":
        """Trained, but no longer to be judged; what was trained is still accounted for."""
        trials = self.trained.trials if self.trained else ()
        return replace(self, trained=None, refused=reason, spent=(*self.spent, *trials))


@dataclass(frozen=True)
class Trunk:
    """What a generation starts from and what the study has learnt so far."""

    trained: Trained
    position: int  # in the stream of images, at which the next slice starts
    best: Evidence | None = None  # the lowest loss on *steer* of any control or winner
    # Of recipes that were trained with several seeds, in proportion to their control's loss, which falls with time:
    replicated: tuple[tuple[float, ...], ...] = ()  # mean losses
    paired: tuple[tuple[float, ...], ...] = ()  # what they had more than their controls with the same seeds
    generations: tuple[GenerationRecord, ...] = ()
    lineage: tuple[Step, ...] = ()  # the way here from the first recipe

    def noise_at(self, scale: float) -> Noise:
        """The noise between seeds of trainings that come to a loss of `scale`, from all of the study so far."""
        return pooled_noise(self.replicated, 1.0).at(scale)

    def gone_on(self, record: GenerationRecord, trained: Trained, samples: int, *steps: Step) -> "Trunk":
        """After a generation that led to `trained`, with the noise and the best so far as they were."""
        return replace(
            self,
            trained=trained,
            position=self.position + samples,
            generations=(*self.generations, record),
            lineage=(*self.lineage, *steps),
        )

    @property
    def generations_in_vain(self) -> int:
        """How many of the last generations in a row kept no edit."""
        records = [record for record in self.generations if record.contest is None]
        kept = [number for number, record in enumerate(records, start=1) if any(row.kept for row in record.rows)]
        return len(records) - max(kept, default=0)


def candidate_of(child: Trained, parent: Recipe) -> Candidate:
    """A child as judging sees it."""
    return Candidate(child.evidence, *cost_against(child.recipe, parent))


def cost_against(recipe: Recipe, parent: Recipe) -> tuple[float, bool]:
    """The ratio of a child's operations to its parent's, and whether it shrinks: less of something, more of nothing."""
    ours, theirs = recipe.architecture, parent.architecture
    smaller = ours.params < theirs.params or ours.flops < theirs.flops
    larger = ours.params > theirs.params or ours.flops > theirs.flops
    return ours.flops / theirs.flops, smaller and not larger


def survivors(
    begun: Sequence[tuple[Recipe, float]],
    control_loss: float,
    parent: Recipe,
    margin: float,
    demanded: Sequence[int] = (),
) -> list[int]:
    """The better half of edits that were trained for half a slice, by what they promise for their cost, as indices.

    `begun` are their recipes with their losses on *steer*; `control_loss` is the control's after as much training. Of
    those that a limit demands the best is always among them.
    """
    needed = min(demanded, key=lambda index: begun[index][1], default=None)

    def promise(index: int) -> float:
        recipe, loss = begun[index]
        ratio, shrinks = cost_against(recipe, parent)
        gain = control_loss - loss + (margin * control_loss if shrinks else 0.0)
        return gain / ratio if gain > 0 else gain * ratio

    best_first = sorted(range(len(begun)), key=lambda index: (index != needed, -promise(index), index))
    return sorted(best_first[: (len(begun) + 1) // 2])


def best_evidence(control: Trained, trunk: Trunk) -> Evidence:
    """The best that the study has seen: the reference of shrinking edits."""
    if trunk.best is None or control.evidence.loss <= trunk.best.loss:
        return control.evidence
    return trunk.best


@dataclass(frozen=True)
class Judged:
    """The verdicts of a generation on *steer*, in the order of its children (None: refused), and the one to keep."""

    verdicts: tuple[Verdict | None, ...]
    kept: int | None
    noises: Noises
    smallest_effect: float | None

    def kept_child(self, children: Sequence[Child]) -> Child | None:
        """Of the children that were judged; None: the control stays."""
        return None if self.kept is None else children[self.kept]

    def winner(self, children: Sequence[Child], control: Trained) -> Trained:
        """What is kept, or the control."""
        kept = self.kept_child(children)
        winner = kept.trained if kept else control
        assert winner is not None, "what is kept was trained"
        return winner

    def without_kept(self) -> "Judged":
        """As if what was to be kept had been refused: it came to nothing after all."""
        verdicts = tuple(None if place == self.kept else one for place, one in enumerate(self.verdicts))
        return replace(self, kept=None, verdicts=verdicts)


@dataclass(frozen=True)
class Comparison:
    """What the children of a generation are held against, and by which measure."""

    control: Trained
    trunk: Trunk
    margin: float  # how much loss a saving may cost, in proportion
    side_by_side: bool = True  # False: the control was trained before, and not with the seeds of the children

    def favourite(self, children: Sequence[Child], demanded: Sequence[int] = ()) -> int | None:
        """The child that deserves a second seed: the most expected gain (and saving) for its cost, if any is expected.

        Where limits demand one of some children, the best of these.
        """
        if demanded:
            return min(demanded, key=lambda index: _loss(children[index]))
        noises, scale = self.noises(), self.control.evidence.scale
        best, chosen = 0.0, None
        for index, child in enumerate(children):
            if child.trained is None:
                continue
            candidate = candidate_of(child.trained, self.control.recipe)
            effect = compared(candidate.evidence, self.control.evidence, noises)
            allowed = self.margin * scale if candidate.shrinks else 0.0
            promise = (effect.shrunk_gain(scale) + allowed) / candidate.cost_ratio
            if promise > best:
                best, chosen = promise, index
        return chosen

    def judge(self, children: Sequence[Child], demanded: Sequence[int] = ()) -> Judged:
        """Judge what was trained and choose what is kept: of those that pass with two seeds, the one of most utility.

        Where limits demand one of some children, the best of these that has two seeds, also if it does not pass.
        """
        noises, control = self.noises(children), self.control.evidence
        trained = [child.trained for child in children if child.trained is not None]
        candidates = [candidate_of(each, self.control.recipe) for each in trained]
        found = judge(candidates, control, best_evidence(self.control, self.trunk), noises, self.margin)
        remaining = iter(found)
        verdicts = tuple(next(remaining) if child.trained is not None else None for child in children)
        passing = [
            index
            for index, (child, verdict) in enumerate(zip(children, verdicts, strict=True))
            if verdict is not None and verdict.passes and len(_trials(child)) > 1
        ]
        kept = max(passing, key=lambda index: verdicts[index].utility, default=None)  # type: ignore[union-attr]
        trained_twice = [index for index in demanded if len(_trials(children[index])) > 1]
        if trained_twice:
            kept = min(trained_twice, key=lambda index: _loss(children[index]))
        seen = smallest_effect(control, candidates[0].evidence, noises, len(candidates)) if candidates else None
        return Judged(verdicts, kept, noises, seen)

    def noises(self, children: Sequence[Child] = ()) -> Noises:
        """The noise of training, pooled over the study so far and what this generation trained with several seeds."""
        scale = self.control.evidence.scale
        seeds = pooled_noise([*self.trunk.replicated, _relative_losses(self.control, scale)], 1.0)
        pairs = pooled_noise([*self.trunk.paired, *_pairs(children, self.control)], 1.0, PRIOR_PAIRED)
        return Noises(seeds, pairs if self.side_by_side else None).at(scale)


def _relative_losses(trained: Trained, scale: float) -> tuple[float, ...]:
    return tuple((trained.evidence.losses.mean(axis=1) / scale).tolist())


def _pairs(children: Sequence[Child], control: Trained) -> list[tuple[float, ...]]:
    trained = [child.trained.evidence for child in children if child.trained is not None]
    differences = [pair_differences(evidence, control.evidence) for evidence in trained if evidence.seeds > 1]
    return [tuple(value / control.evidence.scale for value in values) for values in differences]


def _loss(child: Child) -> float:
    assert child.trained is not None, "what was not trained cannot be demanded"
    return child.trained.evidence.loss


def _trials(child: Child) -> tuple[TrialResult, ...]:
    return child.trained.trials if child.trained else ()


@dataclass(frozen=True)
class Confirmation:
    """The kept child and its control on *confirm*."""

    child: Evidence
    control: Evidence


def record_generation(
    number: int,
    comparison: Comparison,
    children: Sequence[Child],
    judged: Judged,
    confirmation: Confirmation | Failed | None,
) -> GenerationRecord:
    """The ledger's account of a generation; a `confirmation` may be why *confirm* could not be opened."""
    control, margin = comparison.control, comparison.margin
    num_tried = sum(bool(child.trained or child.spent or child.seconds) for child in children)
    rows = [_control_row(number, control)]
    for index, (child, verdict) in enumerate(zip(children, judged.verdicts, strict=True)):
        row = _row(number, child, control, verdict)
        if index == judged.kept and child.trained is not None and confirmation is not None:
            assert verdict is not None, "what is kept was trained"
            if isinstance(confirmation, Failed):
                interval, confirmed, found = None, False, f"not confirmed: {confirmation.reason}"
            else:
                candidate = candidate_of(child.trained, control.recipe)._replace(evidence=confirmation.child)
                noises = judged.noises.at(confirmation.control.scale / control.evidence.scale)  # in proportion to it
                interval, p_value = confirms(candidate, confirmation.control, noises, margin, num_tried)
                confirmed, found = p_value < ALPHA, _confirmation(verdict, p_value, num_tried)
            reason = verdict.reason if verdict.passes else f"a limit demands it, though {verdict.reason}"
            row = row.updated(
                kept=True, confirm_effect=interval, confirmed=confirmed, verdict=f"kept: {reason}; {found}"
            )
        rows.append(row)
    winner = judged.winner(children, control)
    return GenerationRecord(
        number=number,
        parent=control.recipe.content_digest,
        winner=winner.recipe.content_digest,
        winner_trial=winner.first.key,
        rows=tuple(rows),
        smallest_effect=judged.smallest_effect,
        noise=judged.noises.seeds.variance**0.5,
        paired_noise=None if judged.noises.pairs is None else judged.noises.pairs.variance**0.5,
    )


def _confirmation(verdict: Verdict, p_value: float, num_tried: int) -> str:
    """Whether *confirm*, which only the kept child and the control were asked about, bears the claim."""
    if p_value >= ALPHA:
        return f"not confirmed: p = {p_value:.2f} on confirm, adjusted for {num_tried} edits"
    return "confirmed" if verdict.against == "the control" else f"confirmed to be {verdict.claim} than the control"


def energy_of(trials: Sequence[TrialResult]) -> float | None:
    """Watt-hours of some trials; None where those of one are not known."""
    known = [trial.energy_wh for trial in trials if trial.energy_wh is not None]
    return sum(known) if len(known) == len(trials) else None


def _control_row(number: int, control: Trained) -> LedgerRow:
    every = (*control.spent, *control.trials)
    return LedgerRow(
        generation=number,
        edit="control",
        description="the parent, trained on without an edit",
        reason="what every edit is compared with",
        parent=control.recipe.content_digest,
        recipe=control.recipe.content_digest,
        trials=tuple(trial.key for trial in control.trials),
        certificate=None,
        steer_effect=None,
        confirm_effect=None,
        steer_error=control.evidence.error,
        p_value=None,
        kept=False,
        confirmed=None,
        verdict="the reference",
        params=control.recipe.architecture.params,
        flops=control.recipe.architecture.flops,
        seconds=sum(trial.seconds for trial in every),
        energy_wh=energy_of(every),
    )


def _row(number: int, child: Child, control: Trained, verdict: Verdict | None) -> LedgerRow:
    parent = control.recipe
    recipe = child.trained.recipe if child.trained else parent
    certificate, network = child.certificate, recipe.architecture
    trials = _trials(child)
    every = (*child.spent, *trials)
    if verdict is None:
        reason = f"given up: {child.refused}" if child.seconds or child.spent else f"refused: {child.refused}"
    elif verdict.passes and len(trials) < 2:
        reason = f"not kept: {verdict.reason}, but another edit promised more for its cost"
    else:
        reason = verdict.reason if verdict.passes else f"not kept: {verdict.reason}"
    return LedgerRow(
        generation=number,
        edit=child.proposal.name,
        description=child.description,
        reason=child.proposal.reason,
        parent=parent.content_digest,
        recipe=recipe.content_digest,
        trials=tuple(trial.key for trial in every),
        certificate=certificate,
        steer_effect=verdict.effect if verdict else None,
        confirm_effect=None,
        steer_error=child.trained.evidence.error if child.trained else None,
        p_value=verdict.p_value if verdict else None,
        kept=False,
        confirmed=None,
        verdict=reason,
        params=certificate.params_after if certificate else network.params,
        flops=certificate.flops_after if certificate else network.flops,
        seconds=sum(trial.seconds for trial in every) + child.seconds,
        energy_wh=energy_of(every) if every or not child.seconds else None,
        proposed=child.proposal.edit,
        parent_architecture=parent.architecture.content_digest,
    )


def step_of(trained: Trained, piece: dict[str, Any], edit: Part | None) -> Step:
    """The step to a child of a generation, or to its control."""
    first = trained.first
    return Step(trial=first.key, seed=first.seed, slice=piece, schedule=trained.recipe.schedule, edit=edit)


def next_trunk(
    trunk: Trunk,
    children: Sequence[Child],
    control: Trained,
    judged: Judged,
    record: GenerationRecord,
    piece: dict[str, Any],
) -> Trunk:
    """What the next generation starts from; `piece` is the slice that all were trained for."""
    winner, kept = judged.winner(children, control), judged.kept_child(children)
    step = step_of(winner, piece, kept.proposal.edit if kept else None)
    reference = best_evidence(control, trunk)
    twice = [child.trained for child in children if child.trained is not None and child.trained.evidence.seeds > 1]
    scale = control.evidence.scale
    replicated = [*trunk.replicated, *(_relative_losses(each, scale) for each in (control, *twice))]
    return replace(
        trunk.gone_on(record, winner, winner.first.samples, step),
        best=winner.evidence if winner.evidence.loss < reference.loss else reference,
        replicated=tuple(replicated),
        paired=(*trunk.paired, *_pairs(children, control)),
    )
