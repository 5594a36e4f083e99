"""Which trials stand in line: how many samples a network had seen before a trial began."""

from typing import Literal, NamedTuple

from modules.records import LedgerRow, TrialResult
from modules.report.view import StudyView

Standing = Literal["trunk", "kept", "refused", "final"]


class Placed(NamedTuple):
    """A trial in its place; `offset` is the samples that its weights had seen when it began."""

    trial: TrialResult
    offset: int
    label: str
    standing: Standing


def placed_trials(study: StudyView) -> list[Placed]:
    """All trials of the ledger that are known, refused ones first so that they are drawn beneath."""
    trials = study.trials
    placed: list[Placed] = []
    offset, reached = 0, _reached(study)
    if (baseline := trials.get(study.ledger.baseline)) is not None:
        placed.append(Placed(baseline, 0, "baseline", "trunk"))
        offset = baseline.samples
    for generation in study.ledger.generations:
        for row in generation.rows:
            for key in row.trials:
                if key in trials:
                    standing: Standing = "trunk" if key == generation.winner_trial else _standing(row)
                    placed.append(Placed(trials[key], offset, f"{generation.number} {row.edit}", standing))
        winner = trials.get(generation.winner_trial)
        steps = reached.get(generation.winner_trial)
        offset = steps if steps is not None else offset + (winner.samples if winner is not None else 0)
    for row in study.ledger.final:
        for key in row.trials:
            if key in trials:
                start = 0 if "scratch" in row.edit else offset
                placed.append(Placed(trials[key], start, row.edit, "final" if row.kept else "refused"))
    order: list[Standing] = ["refused", "kept", "trunk", "final"]
    return sorted(placed, key=lambda each: order.index(each.standing))


def _reached(study: StudyView) -> dict[str, int]:
    """The samples that the winner's ancestors had seen at the end of each of their trials."""
    totals: dict[str, int] = {}
    seen = 0
    for step in study.ledger.lineage:
        trial = study.trials.get(step.trial)
        if trial is None:
            return {}
        seen += 0 if step.trial in totals else trial.samples
        totals[step.trial] = seen
    return totals


def _standing(row: LedgerRow) -> Standing:
    return "kept" if row.kept else "refused"
