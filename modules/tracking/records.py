"""What is shown in MLflow of a study: plain fields, from the store, with the times that were recorded."""

from typing import Any, Literal

from pydantic import Field, model_validator

from modules.records import DataRecord, Record, TrialResult

StudyState = Literal["running", "completed", "failed", "interrupted"]


class _Shown(Record):
    """Of a study's folder it may have been read from: earlier versions had fields there that nothing was put into."""

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_empty(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if name in cls.model_fields or value}


class StudyRun(_Shown):
    """A study as it begins; its run lies in the experiment named after its data.

    `parameters` are the flattened configuration or first recipe (see `flattened`). `started_at` is when the study was
    first run, in unix seconds, not when it was resumed.
    """

    name: str
    data: DataRecord
    command: str
    started_at: float
    parameters: dict[str, str] = Field(default_factory=dict)


class TrialRun(_Shown):
    """A finished trial in its place in a study. Losses in nats, errors as fractions of 1; None: was not opened."""

    role: str  # "baseline", "control", "edit", "final", ...
    result: TrialResult
    generation: int | None = None
    edit: str | None = None
    parameters: dict[str, str] = Field(default_factory=dict)  # the flattened recipe
    confirm_loss: float | None = None
    confirm_error: float | None = None
    test_loss: float | None = None
    test_error: float | None = None
    reused: bool = False
    co2_g: float | None = None  # by the grid of the country that the study names

    @property
    def name(self) -> str:
        """What a person reads in the list of runs: `g2 widen_layer s1`."""
        place = [] if self.generation is None else [f"g{self.generation}"]
        return " ".join([*place, self.edit or self.role, f"s{self.result.seed}"])


class StudyEnd(_Shown):
    """How a study ended. `artifacts`: folder ("figures"; "" is the top) to paths relative to ESPALIER_HOME."""

    name: str
    state: StudyState
    finished_at: float
    seconds: float
    champion: TrialRun | None = None
    metrics: dict[str, float] = Field(default_factory=dict)  # more of them, named <group>/<metric>
    artifacts: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    description: str = ""  # Markdown, shown on top of the run's page
