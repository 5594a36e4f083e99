"""bundle.json: what a bundle is, for its server, for the gate, and for whoever opens it."""

from typing import Any

from pydantic import Field

from modules.deployment.server.integrity import FORMAT
from modules.energy.summary import UNKNOWN
from modules.records import DataRecord, Record


class GateLimits(Record):
    """What a challenger must keep to. Margins are rises that are allowed, as fractions of 1."""

    margin: float = 0.005  # of the error
    class_margin: float = 0.02  # of a class's error
    calibration_margin: float = 0.02  # of the expected calibration error
    max_latency_ms: float | None = None
    max_size_mb: float | None = None  # of the model


class Parity(Record):
    """How far the ways of asking the model lie apart, over all test images: max |difference of a probability|."""

    images: int
    onnx: float  # from PyTorch
    http: float  # from PyTorch, binary tensors
    json_images: int  # of them also asked as JSON
    http_json: float


class Int8(Record):
    """The quantised model beside the full one. `kept` is false where it is neither smaller nor faster, or too bad."""

    kept: bool
    reason: str
    size_bytes: int
    latency_ms: float
    error_rise: float  # on *confirm*
    loss_rise: float  # of the mean cross-entropy on *confirm*
    agreement: float  # the fraction of test images that both give the same class


class Manifest(Record):
    """Everything that is known of a bundle."""

    format: int = FORMAT
    model: str
    version: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]  # height, width, channels
    study: str
    command: str
    made_at: float  # unix seconds
    recipe: str
    weights_sha256: str
    data: DataRecord
    params: int
    flops: int
    seed: int
    val_error: float
    test_error: float
    latency_ms: float
    size_bytes: int  # of model.onnx
    energy: dict[str, Any] = Field(default_factory=UNKNOWN.copy)  # as in summary.json
    training_wh: float | None = None
    parity: Parity | None = None
    int8: Int8 | None = None
    gate: GateLimits
    versions: dict[str, str]
