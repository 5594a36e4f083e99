"""The frozen records that stages hand on: plain data that survives JSON, never a model or a tensor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from modules.digests import digest_of
from modules.errors import StudyError


class Record(BaseModel):
    """Frozen, closed, JSON in and JSON out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def content_digest(self) -> str:
        """The name of this record's content."""
        return digest_of(self.model_dump(mode="json"))

    def updated(self, **changes: Any) -> Self:
        """A validated copy with some fields changed."""
        return type(self).model_validate({**dict(self), **changes})


class Part(Record):
    """A component that a yaml names: the import path of its class or function and its plain arguments."""

    target: str
    arguments: dict[str, Any] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        """The class or function, without its module."""
        return self.target.rpartition(".")[2]


PartName = Literal["train", "steer", "confirm", "test"]


class DataRecord(Record):
    """A data set that was read, split by content and written to the store.

    `folder` (relative to ESPALIER_HOME) holds `images.npy` (uint8, N x H x W x C), `labels.npy` (int64, N), `parts.npy`
    (uint8, N: 0 train, 1 steer, 2 confirm, 3 test) and `identities.npy` (uint64, N: hash of each image's content).
    `digest` covers the content and the parts, `test_digest` the test part alone. `mean` and `std` are per channel, of
    the training part, of pixels scaled to [0, 1].
    """

    name: str
    digest: str
    test_digest: str
    folder: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]  # channels, height, width
    num_images: dict[PartName, int]
    num_groups: dict[PartName, int]  # groups of near-duplicates, which share a part
    mean: tuple[float, ...]
    std: tuple[float, ...]
    notes: tuple[str, ...] = ()  # what a person should know, a sentence each


class Numerics(Record):
    """What the bits of a training depend on besides its recipe."""

    torch: str
    cpu_capability: str
    threads: int
    precision: Literal["float32", "bfloat16"]
    channels_last: bool
    device: str = "cpu"
    devices: int = 1
    strategy: str = "auto"


class CurvePoint(Record):
    """What was seen of a training after `samples` samples. Losses are cross-entropies, errors fractions of 1."""

    samples: int
    epoch: float  # epochs seen, with fractions
    learning_rate: float
    batch_size: int
    train_loss: float
    steer_loss: float
    steer_error: float
    seconds: float  # of this trial so far
    noise_scale: float | None = None  # of the gradient, in samples, where the batch follows it


class RangeTest(Record):
    """Learning rates that were tried for an update each, the smoothed losses that followed, and the rate picked."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    picked: float


class TrialResult(Record):
    """A finished trial: its entry in the store is `trials/<key>` with `state.safetensors` and `steer.safetensors`."""

    key: str
    recipe: str  # digest
    seed: int
    state_sha256: str
    weights_sha256: str  # of the averaged weights that are judged and shipped
    samples: int
    epochs: float
    updates: int
    params: int
    flops: int
    seconds: float
    started_at: float  # unix seconds
    finished_at: float
    peak_memory_bytes: int
    stopped_by: str  # why it ended, a phrase
    retreats: int = 0  # how often the loss exploded and the training went back with half the rate
    energy_wh: float | None = None  # None where the system does not say what a process uses
    energy_method: str | None = None
    steer_loss: float
    steer_error: float
    curve: tuple[CurvePoint, ...]


class LayerMeasures(Record):
    """What a layer of a trained network does, seen on some training images; fractions are of its channels."""

    node: str  # its convolution, dense layer or sum
    output: str  # the node at which its output was looked at: with its normalisation and activation
    channels: int
    silent: float  # hardly vary
    duplicated: float  # vary, but follow an earlier channel
    effective_rank: float  # exp of the entropy of the channel covariance's eigenvalues (Roy and Vetterli 2007)
    full_rank: int  # the largest that it could be: the channels, or the values seen of each where those are fewer
    similarity: float  # of its input to its output: linear CKA (Kornblith et al. 2019, arXiv:1905.00414)
    agreement: float | None  # cosine of the two around each channel's mean; None where their shapes differ

    @property
    def redundant(self) -> float:
        """The fraction of channels that the network would hardly miss."""
        return self.silent + self.duplicated

    @property
    def fullness(self) -> float:
        """The effective rank as a fraction of what it could be."""
        return self.effective_rank / self.full_rank


class Certificate(Record):
    """What an edit did to the function and the cost of a network, measured before any training."""

    kind: Literal["exact", "approximate", "lossy"]
    max_logit_change: float  # max |difference| over a batch, relative to the standard deviation of the logits
    tolerance: float | None  # None for edits that do not promise exactness
    params_before: int
    params_after: int
    flops_before: int
    flops_after: int


class Interval(Record):
    """An estimate with its interval at `level` and the standard error it was made of."""

    estimate: float
    low: float
    high: float
    standard_error: float
    level: float = 0.95


class LedgerRow(Record):
    """One edit (or one final candidate) of a study: why it was asked for, what it did, what it cost, what became of it.

    Effects are differences of mean cross-entropy, child minus control: negative is better.
    """

    generation: int
    edit: str  # the edit's name, "control", or "final: continued" / "final: from scratch"
    description: str
    reason: str  # the diagnosis that asked for it
    parent: str  # recipe digest
    recipe: str  # recipe digest
    trials: tuple[str, ...]
    certificate: Certificate | None
    steer_effect: Interval | None
    confirm_effect: Interval | None
    steer_error: float | None
    p_value: float | None  # one-sided, Holm-adjusted within the generation, on steer
    kept: bool
    confirmed: bool | None  # None: confirm was not opened for it
    verdict: str  # kept or not and why, a sentence
    params: int
    flops: int
    seconds: float
    energy_wh: float | None = None
    co2_g: float | None = None  # by the grid of the country that the study names
    proposed: Part | None = None  # the edit with its arguments
    parent_architecture: str | None = None  # digest of what it was applied to

    def is_step_of(self, lineage: "tuple[Step, ...]") -> bool:
        """Whether it is an edit by which a lineage came about."""
        edits = [(step.trial, step.edit) for step in lineage if step.edit is not None]
        return any(trial in self.trials and edit == self.proposed for trial, edit in edits)


class GenerationRecord(Record):
    """A control and its edits, judged."""

    number: int
    parent: str  # recipe digest
    winner: str  # recipe digest
    winner_trial: str  # trial key the next generation starts from
    rows: tuple[LedgerRow, ...]
    smallest_effect: float | None  # of mean cross-entropy, seen with power 0.8; None where nothing was tried
    contest: str | None = None  # of what, where it changed the recipe and not the network
    noise: float  # standard deviation between seeds of a trial's mean cross-entropy on steer
    paired_noise: float | None = None  # of its difference to the control's with the same seed, where there is one


class Step(Record):
    """A step from the first network to the winner: perhaps an edit, then a training; enough to take it again.

    A step with a `recipe` begins with it, with weights that its initialisation draws, or with those of an earlier
    study's winner; one without goes on from the step before. One with the trial of the step before trains nothing: its
    edit is of the recipe that later steps train.
    """

    trial: str  # key of the training
    seed: int
    slice: dict[str, Any]
    schedule: Part
    edit: Part | None = None
    recipe: dict[str, Any] | None = None
    start: dict[str, Any] | None = None  # the state that a first step began with


class Ledger(Record):
    """All generations of a study, its final candidates, and the way to its winner."""

    schema_version: int = 2
    study: str
    baseline: str  # trial key
    generations: tuple[GenerationRecord, ...] = ()
    final: tuple[LedgerRow, ...] = ()
    lineage: tuple[Step, ...] = ()
    seal: str = ""  # digest of all else: a ledger that was changed by hand is known by it

    @classmethod
    def read(cls, path: Path) -> Self:
        """The ledger of a study; StudyError where there is none, or it was changed by hand or by another version."""
        try:
            ledger = cls.model_validate_json(path.read_text())
        except FileNotFoundError:
            raise StudyError(
                f"there is no ledger at {path}; run the study's command again, which writes it anew"
            ) from None
        except ValueError as error:
            raise StudyError(f"{path} is no ledger that this program wrote: {str(error).splitlines()[0]}") from None
        if ledger.seal != ledger.expected_seal:
            raise StudyError(
                f"{path} was changed after the study wrote it: its content has the digest {ledger.expected_seal}, its "
                f"seal says {ledger.seal or 'nothing'}; run the study's command again, which writes it anew"
            )
        return ledger

    @property
    def expected_seal(self) -> str:
        """What the seal should be."""
        return digest_of(self.model_dump(mode="json", exclude={"seal"}))

    def sealed(self) -> Self:
        """With its seal."""
        return self.updated(seal=self.expected_seal)

    def with_co2(self, grams: Callable[[float], float]) -> Self:
        """With the grams that the watt-hours of each row emitted."""

        def emitted(rows: tuple[LedgerRow, ...]) -> tuple[LedgerRow, ...]:
            return tuple(
                row if row.energy_wh is None else row.updated(co2_g=float(f"{grams(row.energy_wh):.3g}"))
                for row in rows
            )

        generations = tuple(record.updated(rows=emitted(record.rows)) for record in self.generations)
        return self.updated(generations=generations, final=emitted(self.final))

    def write(self, path: Path) -> None:
        """As readable JSON."""
        path.write_text(self.model_dump_json(indent=1))
