"""Final training: the winner's recipe from inherited weights and from scratch; *confirm* decides what is shipped."""

from collections.abc import Mapping
from dataclasses import dataclass

from modules.evaluation.outputs import Outputs
from modules.recipe import Recipe
from modules.records import Interval, LedgerRow, Step, TrialResult
from modules.search.judging import Noise, effect_of
from modules.search.laboratory import evidence_of


@dataclass(frozen=True)
class FinalTraining:
    """A training that a study may end with."""

    recipe: Recipe
    trial: TrialResult
    parent: str  # digest of the recipe that it goes on from, or whose network it trains anew
    lineage: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Finalist:
    """A final training under its name, and what its weights said about *confirm*."""

    name: str  # "continued", "from scratch", "baseline", "head", "fine-tuned" or "front 1"
    training: FinalTraining
    seen: Outputs

    @property
    def recipe(self) -> Recipe:
        """What was trained."""
        return self.training.recipe

    @property
    def trial(self) -> TrialResult:
        """What came of it."""
        return self.training.trial

    @property
    def lineage(self) -> tuple[Step, ...]:
        """The way from the first recipe."""
        return self.training.lineage


@dataclass(frozen=True)
class Final:
    """The model a study ends with, and the ledger's account of how it was chosen."""

    winner: Finalist
    rows: tuple[LedgerRow, ...]
    front: tuple[Finalist, ...] = ()  # under objective=pareto


def choose_final(finalists: Mapping[str, Finalist], noise: Noise) -> Final:
    """The finalist with the lowest cross-entropy on *confirm*; each row's effect is against the others' best."""
    ranked = sorted(finalists.values(), key=lambda finalist: finalist.seen.loss)
    winner = ranked[0]
    rows = []
    for finalist in finalists.values():
        others = [other for other in ranked if other is not finalist]
        interval = _against(finalist, others[0], noise) if others else None
        rows.append(_row(finalist, winner, interval))
    return Final(winner, tuple(rows))


def _against(finalist: Finalist, other: Finalist, noise: Noise) -> Interval:
    return effect_of(evidence_of([finalist.seen]), evidence_of([other.seen]), noise).interval


def _reason(name: str) -> str:
    if name == "baseline":
        return "all that was asked for"
    if name in ("head", "fine-tuned"):
        return "a head on frozen features or everything trained: measured, not assumed"
    if name.startswith("try "):
        return "the best of the tries"
    if name.startswith("front "):
        return "a member of the front"
    return "inherited weights or new ones: measured, not assumed"


def _row(finalist: Finalist, winner: Finalist, interval: Interval | None) -> LedgerRow:
    kept = finalist is winner
    account = f"cross-entropy {finalist.seen.loss:.4f} and error {finalist.seen.error:.2%} on confirm"
    verdict = f"kept: {account}" if kept else f"not kept: {winner.name} has the lower cross-entropy; {account}"
    architecture = finalist.recipe.architecture
    return LedgerRow(
        generation=0,
        edit=f"final: {finalist.name}",
        description=f"{finalist.trial.epochs:.1f} epochs at a rate that ends low",
        reason=_reason(finalist.name),
        parent=finalist.training.parent,
        recipe=finalist.recipe.content_digest,
        trials=(finalist.trial.key,),
        certificate=None,
        steer_effect=None,
        confirm_effect=interval,
        steer_error=finalist.trial.steer_error,
        p_value=None,
        kept=kept,
        confirmed=None if interval is None else interval.high < 0,
        verdict=verdict,
        params=architecture.params,
        flops=architecture.flops,
        seconds=finalist.trial.seconds,
        energy_wh=finalist.trial.energy_wh,
    )
