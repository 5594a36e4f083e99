"""All that a report is made of: records and plain values, so that it can be written again at any time."""

from typing import Any

from pydantic import Field

from modules.data.look import Look
from modules.explanation.records import Explanation
from modules.records import DataRecord, Interval, Ledger, PartName, RangeTest, Record, TrialResult
from modules.report.contact_sheet import Picture
from modules.search.augmentation import FoundPolicy
from modules.search.credits import Credits
from modules.search.gears import Gears
from modules.search.selecting.found import Compared
from modules.search.transfer import Heads
from modules.search.tries import Tuning


class LayerView(Record):
    """A row of the winner's architecture."""

    name: str
    kind: str
    output: str  # its shape, "16 x 14 x 14"
    params: int


class SelectionView(Record):
    """The selection that a study's own trainings found; errors are the winner's on *confirm*."""

    sentences: tuple[str, ...]
    compared: tuple[Compared, ...]
    confirmed: Interval | None
    confirmed_on_all: Interval | None
    num_suspects: dict[PartName, int]
    pictures: tuple[Picture, ...]  # the surest suspects
    sheet: str | None  # the files with all of them, as a person should read their names
    corrections: str | None
    confirm_error: float | None
    trusted_confirm_error: float | None  # without the images whose labels are suspected
    num_trials: int
    samples: int
    seconds: float
    digest: str | None  # None: all images are kept


class BundleView(Record):
    """What was deployed of the winner."""

    folder: str  # as a person should read it
    checks: tuple[str, ...]  # what was found before it was made, a sentence each; parity first
    gate: str  # what became of it there, a sentence


class StudyView(Record):
    """A study to be shown. `summary` is what summary.json holds; a study that did not end has no `champion` in it."""

    summary: dict[str, Any]
    ledger: Ledger
    trials: dict[str, TrialResult]  # by key; those the ledger names
    data: DataRecord
    confusion: tuple[tuple[int, ...], ...] | None  # of the test part: row = true class, column = predicted
    plan: dict[str, Any] = Field(default_factory=dict)
    command: str = ""
    asked: str = ""  # what was looked for, within what: half a sentence
    versions: dict[str, str] = Field(default_factory=dict)
    stop_reason: str = ""  # a sentence: why the search ended
    layers: tuple[LayerView, ...] = ()  # of the winner
    look: Look | None = None  # at the data
    selection: SelectionView | None = None  # None where none had to be found
    tunings: tuple[Tuning, ...] = ()  # searches for hyper-parameters
    learnt: tuple[str, ...] = ()  # what earlier studies were used for, a sentence each
    range_test: RangeTest | None = None  # None where the learning rate was given
    found_policy: FoundPolicy | None = None  # None where the augmentation was given
    heads: Heads | None = None  # on frozen features; None where the study did not start from pretrained weights
    gears: Gears | None = None  # None where they were not judged by cross-validation
    machine_test_openings: int | None = None  # of this test set, all studies on this machine together
    report: str | None = None  # where the report is, and where MLflow's database is: as a person should read them
    tracking: str | None = None
    explanation: Explanation | None = None  # of the winner; None where none was asked for
    bundle: BundleView | None = None  # None where none was made
    credits: Credits | None = None  # what each automation bought; None until `espalier credit` has asked

    @property
    def class_errors(self) -> tuple[float | None, ...]:
        """The misclassified fraction of each class of the test part; None for a class without test images."""
        if self.confusion is None:
            return ()
        totals = [sum(row) for row in self.confusion]
        return tuple(
            1 - row[index] / total if total else None
            for index, (row, total) in enumerate(zip(self.confusion, totals, strict=True))
        )
