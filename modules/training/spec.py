"""What a trial is, as data: everything its bits depend on, and therefore its key. Imports no torch."""

from importlib.metadata import version

from modules.digests import digest_of
from modules.parts import revisions_of
from modules.recipe import Recipe
from modules.records import DataRecord, Numerics, Record

RANGE_TEST_UPDATES = 120

_TRAINING = "modules.training.training"
_OURS = "modules."


class Start(Record):
    """The state a trial starts from: an entry of the store and the SHA-256 of its `state.safetensors`."""

    kind: str
    key: str
    state_sha256: str


class Slice(Record):
    """How long to train: at most `samples`, with a look at *steer* every `evaluate_every` samples.

    `first_sample` is the position in the stream of images, so that a slice goes on where its parent stopped. With
    `patience`, training stops after that many looks without a lower loss on *steer*, and the best look is kept. It
    also stops at a look whose loss or error is at most the target.
    """

    samples: int
    evaluate_every: int
    first_sample: int = 0
    patience: int | None = None
    target_loss: float | None = None
    target_error: float | None = None
    max_retreats: int = 3  # how often an exploding loss may send it back before it fails


class TrialSpec(Record):
    """One recipe trained for one slice from given weights with one seed."""

    recipe: Recipe
    slice: Slice
    seed: int
    data: DataRecord
    numerics: Numerics
    start: Start | None = None
    most_at_once: int | None = None  # images in memory at once; larger batches are made of several pieces

    def in_pieces_of(self, key: str) -> "TrialSpec":
        """This trial with as many images at once as the one with that key had; itself where none has the key."""
        at_once, spec = self.recipe.batch_size, self
        while spec.key != key:
            at_once //= 2
            if at_once < 1:
                return self
            spec = self.updated(most_at_once=at_once)
        return spec

    @property
    def key(self) -> str:
        """The digest of all that determines the result, the revisions of the code it passes through included."""
        recipe = self.recipe
        features = {} if recipe.frozen_until is None else {"engine": feature_engine(self.numerics)}
        parts = [part.target.rpartition(".")[0] for part in recipe.parts if part.target.startswith(_OURS)]
        return digest_of(
            {
                "recipe": recipe.model_dump(mode="json"),
                "slice": self.slice.model_dump(mode="json"),
                "seed": self.seed,
                "data": self.data.digest,
                "numerics": self.numerics.model_dump(mode="json"),
                "start": self.start.state_sha256 if self.start else None,
                "most_at_once": self.most_at_once,
                "revisions": revisions_of(_TRAINING, *parts),
                **features,
            }
        )


def feature_engine(numerics: Numerics) -> str:
    """What computes the features that frozen nodes give: the bits of what is trained on them depend on it."""
    return f"onnxruntime {version('onnxruntime')}" if numerics.device == "cpu" else "torch"
