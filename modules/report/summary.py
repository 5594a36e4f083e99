"""summary.json: what a study ends with, for people and programs."""

from collections.abc import Sequence
from typing import Any

from modules.records import DataRecord, Record

SCHEMA = 1


class Champion(Record):
    """The winner. Errors are fractions of 1; `val_error` is on *confirm*; `latency_ms` of the exported model."""

    recipe: str
    weights_sha256: str
    params: int
    flops: int
    val_error: float
    test_error: float
    latency_ms: float | None


class FrontModel(Record):
    """A member of the front under objective=pareto; `folder` (relative to ESPALIER_HOME) holds its exported model."""

    recipe: str
    weights_sha256: str
    params: int
    flops: int
    val_error: float
    val_loss: float
    latency_ms: float
    folder: str


class Counts(Record):
    """Trials: all of the study, those found in the store in this run, and those that failed."""

    count: int
    reused: int
    failed: int


def summary_of(
    *,
    study: str,
    state: str,
    seed: int,
    data: DataRecord,
    seconds: float,
    energy: dict[str, Any],
    test_openings: int,
    trials: Counts,
    champion: Champion | None,
    ledger: str | None,
    report: str | None,
    command: str,
    versions: dict[str, str],
    finished_at: float,
    front: Sequence[FrontModel] = (),
    bundle: str | None = None,
) -> dict[str, Any]:
    """The content of summary.json; null is what was not made."""
    return {
        "schema": SCHEMA,
        "study": study,
        "state": state,
        "seed": seed,
        "data": {"name": data.name, "digest": data.digest},
        "seconds": round(seconds, 2),
        "energy": energy,
        "test_openings": test_openings,
        "trials": trials.model_dump(),
        "champion": champion.model_dump() if champion else None,
        "front": [model.model_dump() for model in front] or None,
        "ledger": ledger,
        "bundle": bundle,
        "report": report,
        "command": command,
        "versions": versions,
        "finished_at": finished_at,
    }
