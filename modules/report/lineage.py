"""Which trials stand in line: how many samples a network had seen before a trial began."""

from collections.abc import Sequence
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


class _Places:
    """Trials by key, each placed once: where the winner's lineage says, or else where its stage began."""

    def __init__(self, study: StudyView) -> None:
        self.trials = study.trials
        self.first_samples: dict[str, int] = {step.trial: step.slice["first_sample"] for step in study.ledger.lineage}
        self.placed: dict[str, Placed] = {}

    def put(self, key: str, start: int, label: str, standing: Standing) -> None:
        """A trial, if it is at hand, that began at `start` unless the lineage knows better."""
        if key in self.trials:
            offset = self.first_samples.get(key, start)
            self.placed.setdefault(key, Placed(self.trials[key], offset, label, standing))

    def start_of(self, rows: Sequence[LedgerRow], otherwise: int) -> int:
        """Where the trials of some rows began that begin together: as the lineage says of the first that is in it."""
        keys = {key for row in rows for key in row.trials} - self.placed.keys()
        return min((self.first_samples[key] for key in keys & self.first_samples.keys()), default=otherwise)

    def end_of(self, key: str, otherwise: int) -> int:
        """Where a trial ended."""
        one = self.placed.get(key)
        return otherwise if one is None else one.offset + one.trial.samples


def placed_trials(study: StudyView) -> list[Placed]:
    """All trials of the ledger and of the winner's lineage that are known, each once.

    Refused ones come first, so that they are drawn beneath.
    """
    ledger, places = study.ledger, _Places(study)
    is_front = bool(study.summary.get("front"))  # where a generation's winner need not have led to the study's
    line = {*places.first_samples} if is_front else {generation.winner_trial for generation in ledger.generations}
    places.put(ledger.baseline, 0, "baseline", "trunk")
    ends: dict[str, int] = {}  # by recipe: on a front, any of them may be the next parent
    offset = places.end_of(ledger.baseline, 0)
    for generation in ledger.generations:
        start = places.start_of(generation.rows, ends.get(generation.parent, offset))
        for row in generation.rows:
            for key in row.trials:
                places.put(key, start, f"{generation.number} {row.edit}", "trunk" if key in line else _standing(row))
            if row.trials:
                ends[row.recipe] = places.end_of(row.trials[0], start)
        offset = ends[generation.winner] = places.end_of(generation.winner_trial, start)
    start = places.start_of([row for row in ledger.final if not _is_anew(row)], offset)
    for row in ledger.final:
        for key in row.trials:
            begun = 0 if _is_anew(row) else ends.get(row.parent, start)
            places.put(key, begun, row.edit, "final" if row.kept else "refused")
    for step in ledger.lineage:  # of a sweep's winner, no other row has its earlier trials
        places.put(step.trial, 0, "on the way", "trunk")
    order: list[Standing] = ["refused", "kept", "trunk", "final"]
    return sorted(places.placed.values(), key=lambda each: order.index(each.standing))


def _is_anew(row: LedgerRow) -> bool:
    return "scratch" in row.edit


def _standing(row: LedgerRow) -> Standing:
    return "kept" if row.kept else "refused"
