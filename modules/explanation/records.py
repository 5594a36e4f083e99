"""What is said about a winner: plain values and small pictures (data URIs), ready to be shown. Imports no torch."""

from typing import Literal

from modules.records import Record

Kind = Literal["typical", "confident error", "borderline"]


class Example(Record):
    """A test image and, by method, what spoke for the class that the network chose."""

    kind: Kind
    label: str
    predicted: str
    confidence: float
    image: str
    maps: dict[str, str]


class MethodFigures(Record):
    """A method with its checks; one that fails is not shown. Figures are None where it could not even be tried."""

    name: str
    shown: bool
    verdict: str  # a sentence
    deletion_area: float | None = None
    deletion_elsewhere: float | None = None
    deletion_p: float | None = None
    similarity: float | None = None  # to the maps of randomised weights


class Focus(Record):
    """Where a method's maps point: the window of a sixteenth of the image that holds most, or a suspicious corner."""

    method: str
    share: float  # of all that speaks for the classes; of one class, in most of its images at least so much
    area: float  # of the image
    place: str
    rows: tuple[int, int]  # first and last, from 1
    columns: tuple[int, int]
    suspicious: bool
    sentence: str


class ClassFigures(Record):
    """A class on the test part, with 95 % intervals; None where there is nothing to take a fraction of."""

    name: str
    images: int
    predicted: int
    error: float | None  # of the images of the class
    error_interval: tuple[float, float] | None
    precision: float | None  # of the images that were taken for it
    precision_interval: tuple[float, float] | None


class ConfusedPair(Record):
    """Images of one class taken for another, the most confident first."""

    label: str
    predicted: str
    count: int
    images: tuple[str, ...]


class ReliabilityBin(Record):
    """Images of about the same confidence."""

    images: int
    confidence: float
    accuracy: float


class CalibrationFigures(Record):
    """How much the probabilities can be believed, as they are and divided by the temperature (Guo et al. 2017).

    The temperature was fitted on *confirm*, all figures are of the test part. `error`: expected calibration error.
    """

    temperature: float
    error: float
    scaled_error: float
    loss: float
    scaled_loss: float
    bins: tuple[ReliabilityBin, ...]
    scaled_bins: tuple[ReliabilityBin, ...]


class Neighbour(Record):
    """A training image near a misclassified one."""

    label: str
    similarity: float  # cosine in the space of the last features
    image: str


class ErrorNeighbours(Record):
    """A misclassified test image and the training images that the network finds most like it."""

    label: str
    predicted: str
    confidence: float
    image: str
    nearest: tuple[Neighbour, ...]
    remark: str


class Explanation(Record):
    """All that is said about a winner."""

    methods: tuple[MethodFigures, ...]
    examples: tuple[Example, ...]
    focus: tuple[Focus, ...]
    classes: tuple[ClassFigures, ...]
    pairs: tuple[ConfusedPair, ...]
    calibration: CalibrationFigures
    neighbours: tuple[ErrorNeighbours, ...]
    seconds: float

    @property
    def suspicions(self) -> tuple[str, ...]:
        """What a person should look at: a sentence each."""
        return tuple(focus.sentence for focus in self.focus if focus.suspicious)


class OneImage(Record):
    """What `espalier explain` says of an image."""

    probabilities: dict[str, float]  # the most probable first
    image: str
    maps: dict[str, str]
    notes: tuple[str, ...]
