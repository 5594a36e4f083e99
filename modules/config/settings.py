"""What a study is made of, as plain frozen data: the only form in which the configuration leaves this package."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from modules.digests import digest_of
from modules.energy.grids import countries
from modules.errors import did_you_mean
from modules.records import Part, Record
from modules.space import Space

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
_DIGEST_DIGITS = 8
_DEFAULT_MODEL = "first_architecture"
_DEFAULT_SCHEDULE = "OneCycle"
_FINDERS = "modules.search.selecting."  # selections there are found by trainings
# What no result depends on: how a study is orchestrated, run, shown and named. With what stands for it in settings of
# which only the content was kept: one trial after the other, shown nowhere.
_INCIDENTAL: dict[str, Any] = {
    "orchestrator": "inline",
    "fresh": False,
    "tracking": {"enabled": False, "uri": None},
    "runner": {"kind": "serial", "workers": 1, "address": None},
    "study": None,
    "energy": {"meter": "auto", "country": None, "watts_per_core": None},
    "explanation": {"kind": "none", "methods": ()},
    "overrides": (),
}
_PATIENT_MINUTES = 24 * 60.0

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
PositiveFraction = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
_AS_TYPED = BeforeValidator(lambda value: str(value) if type(value) is int else value)  # study=2026 is a name
Text = Annotated[str, _AS_TYPED]
StudyName = Annotated[str, Field(pattern=NAME_PATTERN), _AS_TYPED]


class Section(Record):
    """A group of settings: no type is bent to fit, no number is infinite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DataSettings(Section):
    """Which images, and how their content assigns them to the parts."""

    name: StudyName
    reader: Part
    steer_fraction: PositiveFraction
    confirm_fraction: PositiveFraction
    test_fraction: Fraction | None = 0.0  # None: 0.2 where no test set is given
    split_seed: Annotated[int, Field(ge=0, lt=2**63)]
    corrections: Text | None = None  # a CSV of labels that a person corrected

    @model_validator(mode="after")
    def _leaves_images_to_train_on(self) -> Self:
        held_out = self.steer_fraction + self.confirm_fraction + (self.test_fraction or 0.0)
        if held_out >= 1.0:
            raise ValueError(
                f"data.steer_fraction, data.confirm_fraction and data.test_fraction leave no image to train on: "
                f"they add up to {held_out:g}; allowed is less than 1"
            )
        return self


class AugmentationSettings(Section):
    """What training images go through; with `candidates`, that is to be found."""

    transforms: tuple[Part, ...]
    mode: Literal["all", "one"]
    copies: Annotated[int, Field(ge=1, le=100)] | None
    strength: Annotated[float, Field(ge=0.0, le=10.0)]  # times those of the transforms
    candidates: tuple[Part, ...]

    @model_validator(mode="after")
    def _is_given_or_found(self) -> Self:
        if self.candidates and self.transforms:
            given = ", ".join(part.name for part in self.transforms)
            raise ValueError(
                f"augmentation.candidates asks for a policy to be found, but there are transforms already ({given}); "
                "allowed is augmentation=auto with augmentation.candidates=[NAME,…], or transforms without candidates"
            )
        return self


class TrainingSettings(Section):
    """How a recipe is trained. None: chosen from the data by rule."""

    max_epochs: Positive | None
    learning_rate: Positive | None
    default_learning_rate: Positive  # the optimizer's
    find_rate: bool
    # all: the training data; measured: what this machine trains fastest with
    batch_size: Annotated[int, Field(ge=1, le=65536)] | Literal["all", "measured"] | None
    label_smoothing: Fraction | None
    dropout: Fraction | None
    gradient_clip: Positive | None
    patience: Count | None
    target_loss: Positive | None
    max_retreats: Annotated[int, Field(ge=0, le=100)]


class TrainerSettings(Section):
    """On what it is trained."""

    accelerator: Literal["cpu", "cuda", "mps", "auto"]
    devices: Annotated[int, Field(ge=1, le=64)]
    strategy: Literal["auto", "ddp"]
    threads: Annotated[int, Field(ge=1, le=1024)] | None
    precision: Literal["auto", "float32", "bfloat16"]
    worker_timeout_minutes: Positive


class BackboneChoice(Section):
    """A network whose pretrained weights can be had from a package, as its yaml describes it."""

    name: str
    part: Part
    package: str
    distribution: str
    side: Count


class DistillationSettings(Section):
    """How much a network that shrinks learns from what it said before."""

    weight: Annotated[float, Field(gt=0.0, le=1.0)]
    temperature: Positive


class TransferSettings(Section):
    """How a study starts from pretrained weights, where it does."""

    # At 32 pixels the last planes of a backbone are a single one.
    sides: Annotated[
        tuple[Annotated[int, Field(ge=32, le=1024, multiple_of=32)], ...], Field(min_length=1, strict=False)
    ]
    copies: Annotated[int, Field(ge=0, le=20)]
    folds: Annotated[int, Field(ge=3, le=20)]  # one chooses a rate, several others compare
    fold_images: Annotated[int, Field(ge=0)]
    gears: Annotated[tuple[Literal["upper", "all"], ...], Field(strict=False)]
    learning_rates: Annotated[tuple[Positive, ...], Field(min_length=1, strict=False)]
    frozen_statistics: bool
    first_layer_rate: Annotated[float, Field(gt=0.0, le=1.0)]
    label_smoothing: Fraction
    distillation: DistillationSettings | None


class OptimizerChoice(Section):
    """An optimiser as its yaml describes it."""

    name: str
    part: Part
    learning_rate: Positive  # around which a range test looks
    batch_size: Literal["all"] | Count | None  # which it prescribes


class SearchSettings(Section):
    """How the structure and the recipe are looked for. None: the plan chooses."""

    kind: Literal["edits", "random", "sweep", "none"]
    edits: tuple[Part, ...]
    generations: Annotated[int, Field(ge=0, le=1000)] | None
    edits_per_generation: Annotated[int, Field(ge=0, le=100)]
    slice_samples: Count | None
    baseline_samples: Count | None
    final_samples: Count | None
    from_scratch: bool
    halving: bool  # more edits are begun than are trained for a whole slice
    patience: Count | None  # generations in a row without a kept edit after which the search gives up
    least_images: Annotated[int, Field(ge=0)]
    start: StudyName | None  # a study whose winner this one goes on from
    optimizers: tuple[OptimizerChoice, ...]  # raced after the baseline
    space: Space | None  # of hyper-parameters
    space_share: PositiveFraction  # of what the search trains, for hyper-parameters
    tries: Count | None  # points of the space that a sweep tries
    tries_at_once: Annotated[int, Field(ge=1, le=1000)]  # asked for and trained together, whatever the runner

    @model_validator(mode="after")
    def _kind_agrees(self) -> Self:
        if self.kind in ("none", "sweep") and self.generations:
            raise ValueError(
                f"search.generations={self.generations} contradicts search={self.kind}; "
                "allowed is search=edits or search=random with generations"
            )
        if self.kind == "sweep" and self.space is None:
            raise ValueError(
                "search=sweep needs a space to search; allowed is search.space=NAME, or `espalier sweep NAME`"
            )
        if self.kind == "none" and (self.space is not None or self.optimizers):
            what = f"search.space={self.space.name}" if self.space else "search.optimizers"
            raise ValueError(f"{what} contradicts search=none; allowed is search=edits, random or sweep with it")
        if self.kind == "sweep" and self.optimizers:
            raise ValueError(
                "search.optimizers contradicts search=sweep; allowed is a space with a choice of optimizer"
            )
        varied = () if self.space is None else self.space.keys
        if self.optimizers and any(key.split(".")[0] == "optimizer" for key in varied):
            raise ValueError(
                "search.optimizers contradicts a space that varies the optimizer; allowed is one of the two"
            )
        if (
            self.kind in ("edits", "random")
            and self.generations != 0
            and not (self.edits and self.edits_per_generation)
        ):
            raise ValueError(
                f"search={self.kind} looks for edits, but search.edits and search.edits_per_generation leave none; "
                "allowed is at least one of each, search.generations=0 or search=none"
            )
        return self


class ObjectiveSettings(Section):
    """What counts as better, and what a model may cost."""

    kind: Literal["accuracy", "balanced_accuracy", "pareto"]
    margin: Annotated[float, Field(ge=0.0, le=1.0)]  # a fraction of the best mean cross-entropy
    max_params: Count | None
    max_flops: Count | None
    max_latency_ms: Positive | None  # of one image, exported, on one thread
    front_size: Count  # members of the front that get a final training, under objective=pareto

    @property
    def is_pareto(self) -> bool:
        """Whether a whole front of error against cost is looked for."""
        return self.kind == "pareto"


class BudgetSettings(Section):
    """What a study may spend. None: no limit."""

    minutes: Positive | None
    trials: Count | None
    samples: Count | None
    wh: Positive | None
    target_error: PositiveFraction | None


class RunnerSettings(Section):
    """Where trials run, and how many side by side: nothing that their results depend on."""

    kind: Literal["serial", "processes", "dask", "ray"]
    workers: Annotated[int, Field(ge=1, le=1024)] | None  # None: as many as there are cores for
    address: Text | None  # of a cluster that is there already; None: one on this machine, for as long as the study runs

    @model_validator(mode="before")
    @classmethod
    def _cluster_has_its_own(cls, values: Any) -> Any:
        """Before anything is said of workers that are meant for this machine."""
        if not isinstance(values, dict):
            return values
        kind, workers, address = (values.get(name) for name in ("kind", "workers", "address"))
        if address is not None and kind in ("serial", "processes"):
            raise ValueError(f"runner.address={address} is of no use to runner={kind}; allowed is runner=dask or ray")
        if address is not None and workers is not None:
            raise ValueError(
                f"runner.workers={workers} is of no use with runner.address={address}, where as many trials are "
                "trained at once as that cluster has workers; allowed is one of the two"
            )
        return values

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.kind == "serial" and self.workers != 1:
            raise ValueError(
                f"runner.workers={self.workers} contradicts runner=serial, which trains one trial after the other; "
                "allowed is runner=processes, dask or ray"
            )
        return self


class ExplanationSettings(Section):
    """How the winner is explained: figures and pictures, and methods that say which pixels speak for a class."""

    kind: Literal["default", "none"]
    methods: tuple[tuple[str, Part], ...]


class EnergySettings(Section):
    """What turns the work of processors into watt-hours, and watt-hours into grams of CO2."""

    meter: Literal["auto", "codecarbon"]
    country: Text | None
    watts_per_core: Positive | None

    @field_validator("country")
    @classmethod
    def _is_known(cls, country: str | None) -> str | None:
        if country is None or country.upper() in countries():
            return country and country.upper()
        hint = did_you_mean(country.upper(), countries(), cutoff=0.5)
        raise ValueError(
            f"unknown energy.country {country!r}: {hint}allowed are the three letters of ISO 3166-1, as DEU or USA, "
            f"of {len(countries())} countries, or null for the world's average"
        )


class TrackingSettings(Section):
    """Where MLflow shows what was done. No address: mlflow.db under ESPALIER_HOME."""

    enabled: bool
    uri: Text | None


class Settings(Section):
    """Everything that `espalier run` is told."""

    data: DataSettings
    model: Part
    pretrained: Text  # auto, none, a name or a file
    backbones: tuple[BackboneChoice, ...]
    transfer: TransferSettings
    initialisation: Part
    optimizer: Part
    schedule: Part
    batching: Part
    averaging: Part
    augmentation: AugmentationSettings
    mixing: Part | None
    selection: Part
    balance: Part | None
    training: TrainingSettings
    trainer: TrainerSettings
    search: SearchSettings
    objective: ObjectiveSettings
    budget: BudgetSettings
    runner: RunnerSettings
    deployment: Part | None
    explanation: ExplanationSettings
    energy: EnergySettings
    tracking: TrackingSettings
    orchestrator: Literal["prefect", "inline"]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    study: StudyName | None
    fresh: bool
    prior: Literal["machine", "none"]  # what earlier studies on this machine taught
    overrides: tuple[str, ...] = ()  # that led here, as they were typed

    @model_validator(mode="after")
    def _clusters_are_prefects(self) -> Self:
        if self.runner.kind in ("dask", "ray") and self.orchestrator == "inline":
            raise ValueError(
                f"runner={self.runner.kind} contradicts orchestrator=inline, since the cluster is a task runner of "
                "Prefect's; allowed is orchestrator=prefect, or runner=processes"
            )
        return self

    @model_validator(mode="after")
    def _weights_have_their_network(self) -> Self:
        if self.pretrained in ("auto", "none"):
            return self
        if not self.has_default_model:
            raise ValueError(
                f"pretrained={self.pretrained} contradicts model={self.model.name}, as the weights are those of "
                "another network; allowed is one of the two"
            )
        if self.search.start is not None:
            raise ValueError(
                f"pretrained={self.pretrained} contradicts search.start={self.search.start}, which goes on from other "
                "weights; allowed is one of the two"
            )
        if self.search.kind == "sweep" or self.objective.kind == "pareto":
            what = "search=sweep" if self.search.kind == "sweep" else "objective=pareto"
            raise ValueError(
                f"pretrained={self.pretrained} contradicts {what}, which trains from new weights; allowed is "
                "pretrained=none, or search=edits or none with objective=accuracy"
            )
        if self.only_from_scratch is not None:
            raise ValueError(
                f"pretrained={self.pretrained} contradicts {self.only_from_scratch}, which is for networks that are "
                "trained from scratch; allowed is one of the two"
            )
        return self

    @model_validator(mode="after")
    def _objective_is_searched_for(self) -> Self:
        if self.objective.kind == "pareto" and self.search.kind == "none":
            raise ValueError(
                "objective=pareto contradicts search=none, which trains a single network; allowed is search=edits or "
                "search=random, or objective=accuracy"
            )
        return self

    @model_validator(mode="after")
    def _trials_can_be_counted(self) -> Self:
        searched = self.search.optimizers or self.search.space is not None
        if self.budget.trials is not None and searched and self.search.kind != "sweep":
            raise ValueError(
                f"budget.trials={self.budget.trials} contradicts search.space and search.optimizers, whose trials are "
                "of many lengths; allowed is budget.samples or budget.minutes with them"
            )
        return self

    @property
    def only_from_scratch(self) -> str | None:
        """What is asked for, as it is typed, that a study from pretrained weights does not do; None: nothing."""
        if self.search.space is not None:
            return f"search.space={self.search.space.name}"
        if self.search.optimizers:
            return "search.optimizers"
        return "training.batch_size=measured" if self.training.batch_size == "measured" else None

    @property
    def has_default_model(self) -> bool:
        """Whether nobody asked for another family of networks."""
        return self.model.name == _DEFAULT_MODEL

    @property
    def has_default_schedule(self) -> bool:
        """Whether nobody asked for another one."""
        return self.schedule.name == _DEFAULT_SCHEDULE

    @property
    def changes_rate(self) -> bool:
        """Whether the learning rate changes in the course of a training."""
        return self.schedule.name != "Constant"

    @property
    def changes_batches(self) -> bool:
        """Whether their size changes in the course of a training."""
        return self.batching.name != "Fixed"

    @property
    def averages_weights(self) -> bool:
        """Whether it is an average of the weights that is judged and kept."""
        return self.averaging.name != "NoAverage"

    @property
    def selects_images(self) -> bool:
        """Whether some of the training images may be left out."""
        return self.selection.name != "KeepAll"

    @property
    def finds_selection(self) -> bool:
        """Whether the selection is one that trainings have to find."""
        return self.selection.target.startswith(_FINDERS)

    @property
    def content(self) -> dict[str, Any]:
        """All that a study's results depend on: not how it is orchestrated, run, shown or named."""
        content = self.model_dump(mode="json", exclude=set(_INCIDENTAL))
        del content["trainer"]["worker_timeout_minutes"]
        content["data"]["reader"]["arguments"].pop("download", None)  # the files are the same
        return content

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """Settings of this content, to be gone by here and now; ValidationError where another version wrote it."""
        trainer = {**content.get("trainer", {}), "worker_timeout_minutes": _PATIENT_MINUTES}
        return cls.model_validate_json(json.dumps({**content, **_INCIDENTAL, "trainer": trainer}))

    @property
    def digest(self) -> str:
        """Of the content; a space counts by its name or path, so that a sweep whose space is changed goes on."""
        content = self.content
        if self.search.space is not None:
            content["search"]["space"] = self.search.space.identity
        return digest_of(content)

    @property
    def study_name(self) -> str:
        """The name given, or the data's name and the first digits of the digest."""
        return self.study or f"{self.data.name}-{self.digest[:_DIGEST_DIGITS]}"
