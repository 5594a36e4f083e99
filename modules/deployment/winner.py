"""The model that a study ends with, as a deploy target is handed it."""

from pathlib import Path
from typing import Any

from pydantic import Field

from modules.energy.summary import UNKNOWN
from modules.records import DataRecord, Record


class Winner(Record):
    """What is deployed and what is known of it. Paths are absolute; errors are fractions of 1."""

    study: str
    command: str
    finished_at: float  # unix seconds
    data: DataRecord
    model: Path  # the exported model: uint8 images in, probabilities out
    test_outputs: Path  # what PyTorch said about each test image: `Outputs`
    recipe: str  # digest
    weights_sha256: str
    architecture: str  # a phrase
    params: int
    flops: int
    seed: int
    val_error: float  # on *confirm*
    test_error: float
    latency_ms: float
    seconds: float  # of the study so far
    energy: dict[str, Any] = Field(default_factory=UNKNOWN.copy)  # of the study so far: `energy_summary`
    training_wh: float | None = None  # of the winner's last training alone
    kept_edits: tuple[str, ...] = ()  # of the ledger, in words
    versions: dict[str, str] = Field(default_factory=dict)
