"""Where trials are done: each is looked up in the store and only trained, in a worker, if it is not there."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from modules.architecture.description import Architecture
from modules.data.arrays import open_arrays
from modules.digests import digest_of, sha256_of_file
from modules.energy.meter import MeterChoice
from modules.evaluation.openings import opening
from modules.evaluation.outputs import Outputs
from modules.parts import revisions_of
from modules.pretrained.backbone import Backbone, Source
from modules.recipe import Recipe
from modules.records import Certificate, CurvePoint, DataRecord, Numerics, Part, PartName, RangeTest, TrialResult
from modules.search.augmentation import Looks
from modules.search.diagnosis import Diagnosis
from modules.search.failed import Failed
from modules.search.judging import Evidence
from modules.search.pace import Calibration
from modules.store import Store
from modules.training.spec import Slice, Start, TrialSpec, feature_engine
from modules.workers.jobs import Report
from modules.workers.pool import WorkerKilledError, Workers

logger = logging.getLogger(__name__)

_FEWEST_AT_ONCE = 8


class Inherited(NamedTuple):
    """A child before its training: its recipe and the state it starts from, with the edit's certificate."""

    recipe: Recipe
    start: Start
    certificate: Certificate
    description: str


class FittedHead(NamedTuple):
    """A last layer fitted to frozen features: its record, its key in the store and whether it was there before."""

    record: dict[str, Any]
    key: str
    reused: bool


class Laboratory:
    """The store and the workers behind a study's trials."""

    def __init__(
        self,
        home: Path,
        pool: Workers,
        numerics: Numerics,
        data: DataRecord,
        *,
        balanced: bool,
        meter: MeterChoice,
    ) -> None:
        self.home = home
        self.store = Store(home / "store")
        self.pool = pool
        self.numerics = numerics
        self.data = data
        self.balanced = balanced  # whether each class counts alike in the losses that edits are judged by
        self.meter = meter  # of the energy of trials

    def spec(self, recipe: Recipe, piece: Slice, seed: int, start: Start | None = None) -> TrialSpec:
        """A trial on this laboratory's data and machine."""
        return TrialSpec(recipe=recipe, slice=piece, seed=seed, data=self.data, numerics=self.numerics, start=start)

    def num_selected(self, recipe: Recipe) -> int:
        """The images of an epoch."""
        return len(open_arrays(self.home, self.data).selected(recipe.selection))

    def found(self, spec: TrialSpec) -> TrialResult | None:
        """The result of a trial that was done before."""
        entry = self.store.find("trials", self._that_fits(spec).key)
        if entry is None:
            return None
        return TrialResult.model_validate_json(entry.file("result.json").read_text())

    def train(self, spec: TrialSpec, report: Report) -> TrialResult:
        """Train a trial in a worker."""
        return TrialResult.model_validate(self._trained("train_trial", spec, report))

    def begin(self, spec: TrialSpec, report: Report) -> CurvePoint:
        """A trial's first look at *steer*, for which it is trained no further; `train` goes on from there."""
        entry = self.store.find("looks", self._that_fits(spec).key)
        return CurvePoint.model_validate(entry.record if entry else self._trained("begin_trial", spec, report))

    def _trained(self, job: str, spec: TrialSpec, report: Report) -> dict[str, Any]:
        """What a job of trials gives.

        Where memory runs out, or workers are killed, as happens then, with half as many images at once: the batch is
        then made of several pieces. How many fit is stored.
        """
        spec = self._that_fits(spec)
        arguments = self._metered(spec)
        try:
            return self.pool.call(f"modules.training.trial.{job}", arguments, report)
        except WorkerKilledError:
            at_once = spec.most_at_once or spec.recipe.batch_size
            if at_once <= _FEWEST_AT_ONCE:
                raise
            self.store.put("memory", spec.key, {"most_at_once": at_once // 2})
            logger.warning("memory ran out with %d images at once; trying %d", at_once, at_once // 2)
            return self._trained(job, spec, report)

    def _that_fits(self, spec: TrialSpec) -> TrialSpec:
        """The trial with as many images at once as were found to fit."""
        entry = self.store.find("memory", spec.key)
        return self._that_fits(spec.updated(most_at_once=entry.record["most_at_once"])) if entry else spec

    def _metered(self, spec: TrialSpec) -> dict[str, Any]:
        return {
            "spec": spec.model_dump(mode="json"),
            "home": str(self.home),
            "meter": self.meter.model_dump(mode="json"),
        }

    def calibrate(self, recipe: Recipe) -> Calibration:
        """How fast this machine trains a recipe, and with how many watts."""
        arguments = self._metered(self._open_ended(recipe, 0))
        measured = self.pool.call("modules.training.calibration.calibrate", arguments)
        return Calibration.model_validate(measured).with_end()

    def find_rate(self, recipe: Recipe, seed: int) -> RangeTest:
        """Which learning rate a range test speaks for, from rates around the recipe's own."""
        spec = self._open_ended(recipe, seed)
        key = digest_of({"trial": spec.key, "revisions": revisions_of("modules.training.range_test")})
        arguments = {"spec": spec.model_dump(mode="json")}
        return RangeTest.model_validate(
            self._found_or_called("range_tests", key, "modules.training.range_test.find_rate", arguments)
        )

    def measure_batch_size(self, recipe: Recipe, largest: int) -> int:
        """The smallest batch size that this machine trains a recipe nearly as fast with as with any; measured once."""
        spec = self._open_ended(recipe, 0)
        key = digest_of({"trial": spec.key, "largest": largest})
        arguments = {"spec": spec.model_dump(mode="json"), "largest": largest}
        job = "modules.training.calibration.measure_batch_sizes"
        return int(self._found_or_called("batch_sizes", key, job, arguments)["picked"])

    def _open_ended(self, recipe: Recipe, seed: int) -> TrialSpec:
        """A recipe for a job that decides itself how long it trains."""
        return self.spec(recipe, Slice(samples=1, evaluate_every=1), seed)

    def inherit(self, edit: Part, recipe: Recipe, parent: TrialResult | Start, seed: int) -> Inherited | Failed:
        """Apply an edit to a trained parent, or find that it was refused."""
        module = edit.target.rpartition(".")[0]
        key = digest_of(
            {
                "edit": edit.model_dump(mode="json"),
                "recipe": recipe.content_digest,
                "state": parent.state_sha256,
                "seed": seed,
                "data": self.data.digest,
                "numerics": self.numerics.model_dump(mode="json"),
                "revisions": revisions_of(module, "modules.training.inheritance"),
            }
        )
        record = self._found_or_called(
            "edits",
            key,
            "modules.training.inheritance.inherit",
            {
                "edit": edit.model_dump(mode="json"),
                "recipe": recipe.model_dump(mode="json"),
                "trial": parent.key,
                "seed": seed,
                **self._on_data,
            },
        )
        if "refused" in record:
            return Failed(record["refused"])
        start = Start(kind="edits", key=key, state_sha256=record["state_sha256"])
        return Inherited(
            Recipe.model_validate(record["recipe"]),
            start,
            Certificate.model_validate(record["certificate"]),
            record["description"],
        )

    def identify_weights(self, source: Source) -> str:
        """Which of the networks that it may be for a file of weights fits."""
        backbones = [backbone.model_dump(mode="json") for backbone in source.backbones]
        job = "modules.training.pretrained.identify_weights"
        return str(self.pool.call(job, {"file": str(source.file), "backbones": backbones})["backbone"])

    def plant_weights(self, source: Source, backbone: Backbone, architecture: Architecture) -> Start:
        """The state of a network with a file's weights and a last layer that has learnt nothing."""
        described = architecture.model_dump(mode="json")
        made_of = {
            "file": sha256_of_file(source.file),
            "backbone": backbone.model_dump(mode="json"),
            "tensors": {name: list(spec.shape) for name, spec in architecture.tensors().items()},
            "revisions": revisions_of("modules.training.pretrained"),
        }
        arguments = {
            "file": str(source.file),
            "backbone": backbone.model_dump(mode="json"),
            "architecture": described,
        }
        key, job = digest_of(made_of), "modules.training.pretrained.plant_weights"
        record = self._found_or_called("pretrained", key, job, arguments)
        return Start(kind="pretrained", key=key, state_sha256=record["state_sha256"])

    def fit_head(
        self,
        recipe: Recipe,
        start: Start,
        num_folds: int,
        seed: int,
        report: Report,
        penalty: float | None = None,
    ) -> FittedHead:
        """What the last layer comes to on the frozen features before it; the penalty is found unless one is given."""
        arguments = {
            "recipe": recipe.model_dump(mode="json"),
            "start": start.model_dump(mode="json"),
            "numerics": self.numerics.model_dump(mode="json"),
            "num_folds": num_folds,
            "seed": seed,
            "curve": num_folds > 0,
            "penalty": penalty,
            **self._on_data,
        }
        parts = [recipe.selection, *recipe.augmentation, *filter(None, [recipe.balance])]
        revisions = _revisions("modules.training.pretrained", parts)
        engine = feature_engine(self.numerics)
        key = digest_of({**arguments, "data": self.data.digest, "engine": engine, "revisions": revisions})
        entry = self.store.find("heads", key)
        if entry is not None:
            return FittedHead(entry.record, key, reused=True)
        whole = {**arguments, "key": key, "home": str(self.home), "meter": self.meter.model_dump(mode="json")}
        return FittedHead(self.pool.call("modules.training.pretrained.fit_head", whole, report), key, reused=False)

    def latency_ms(self, architecture: Architecture) -> float:
        """Of one image, exported, on one thread; measured once, so that what it decides stays decided."""
        described = architecture.model_dump(mode="json")
        machine = {"cpu": self.numerics.cpu_capability, "revisions": revisions_of("modules.deployment.latency")}
        key = digest_of({"architecture": described, **machine})
        job = "modules.deployment.latency.measure_architecture"
        return float(self._found_or_called("latencies", key, job, {"architecture": described})["latency_ms"])

    def diagnose(self, recipe: Recipe, trial: TrialResult) -> Diagnosis:
        """Look at a trained network's fit and layers."""
        selection = recipe.selection.target.rpartition(".")[0]
        key = digest_of(
            {
                "weights": trial.weights_sha256,
                "selection": recipe.selection.model_dump(mode="json"),
                "data": self.data.digest,
                "revisions": revisions_of(selection, "modules.evaluation.diagnosing"),
            }
        )
        arguments = {
            "architecture": recipe.architecture.model_dump(mode="json"),
            "selection": recipe.selection.model_dump(mode="json"),
            "trial": trial.key,
            **self._on_data,
        }
        return Diagnosis.model_validate(
            self._found_or_called("diagnoses", key, "modules.evaluation.diagnosing.diagnose", arguments)
        )

    def look_through(
        self, recipe: Recipe, trial: TrialResult, policies: Sequence[Sequence[Part]], on: PartName, num_images: int
    ) -> Looks:
        """What a trial's network says about images of a part after each of several policies."""
        arguments = {
            "architecture": recipe.architecture.model_dump(mode="json"),
            "selection": recipe.selection.model_dump(mode="json"),
            "trial": trial.key,
            "policies": _plain(policies),
            "on": on,
            "num_images": num_images,
            **self._on_data,
        }
        made_of = {**arguments, "trial": trial.weights_sha256, "data": self.data.digest}
        parts = [recipe.selection, *(part for policy in policies for part in policy)]
        key = digest_of({**made_of, "revisions": _revisions("modules.evaluation.policies", parts)})
        return Looks.model_validate(
            self._found_or_called("policies", key, "modules.evaluation.policies.measure_policies", arguments)
        )

    def pictures_of(self, policies: Sequence[Sequence[Part]]) -> list[str]:
        """Strips of training images as they are, and after each of several policies: PNG in base64."""
        arguments = {"policies": _plain(policies), **self._on_data}
        parts = [part for policy in policies for part in policy]
        made_of = {"policies": arguments["policies"], "data": self.data.digest}
        key = digest_of({**made_of, "revisions": _revisions("modules.evaluation.policies", parts)})
        job = "modules.evaluation.policies.picture_policies"
        return list(self._found_or_called("policy_pictures", key, job, arguments)["strips"])

    def steer_evidence(self, trials: list[TrialResult]) -> Evidence:
        """What trials of one recipe said about *steer* at their end."""
        seen = [self._judged(self._read("trials", trial.key, "steer.safetensors")) for trial in trials]
        return evidence_of(seen, self.balanced)

    def steer_loss(self, trial: TrialResult) -> float:
        """What a trial came to on *steer*, as edits are judged: each class alike where that is asked for."""
        return self.steer_evidence([trial]).loss if self.balanced else trial.steer_loss

    def left_out(self, selection: Part, trained: Sequence[tuple[Recipe, TrialResult]], steer: bool = False) -> Outputs:
        """What trials say of the images of a selection that they were not trained on, joined; of *steer* too if asked.

        The losses are those that edits are judged by.
        """
        said = [self._of_left_out(selection, recipe, trial) for recipe, trial in trained]
        if steer:
            said += [self._read("trials", trial.key, "steer.safetensors") for _, trial in trained]
        return self._judged(Outputs.joined(said))

    def said_by_heads(self, key: str) -> Outputs:
        """What fitted heads said of images that they were not fitted to: of each fold's in turn, or of *steer*.

        The losses are those that edits are judged by.
        """
        return self._judged(self._read("heads", key, "outputs.safetensors"))

    def _of_left_out(self, selection: Part, recipe: Recipe, trial: TrialResult) -> Outputs:
        arguments = {
            "architecture": recipe.architecture.model_dump(mode="json"),
            "trial": trial.key,
            "selection": selection.model_dump(mode="json"),
            "trained_on": recipe.selection.model_dump(mode="json"),
        }
        made_of = {**arguments, "trial": trial.weights_sha256, "data": self.data.digest}
        revisions = _revisions("modules.evaluation.jobs", [selection, recipe.selection])
        key = digest_of({**made_of, "revisions": revisions})
        self.found_on_data("observations", key, "modules.evaluation.jobs.observe_left_out", arguments)
        return self._read("observations", key, "outputs.safetensors")

    def observe(self, recipe: Recipe, trial: TrialResult, part: PartName, plain: bool = False) -> Outputs:
        """Open a part for a trial's weights. Opening it again for the same weights reads what was stored.

        The losses are those that edits are judged by, unless `plain` ones are asked for.
        """
        kind, key = self.opening(trial, part)
        arguments = {
            "architecture": recipe.architecture.model_dump(mode="json"),
            "trial": trial.key,
            "part": part,
            "kind": kind,
            **self._on_data,
        }
        self._found_or_called(kind, key, "modules.evaluation.jobs.observe_part", arguments)
        outputs = self._read(kind, key, "outputs.safetensors")
        return outputs if plain or part == "test" else self._judged(outputs)

    def opening(self, trial: TrialResult, part: PartName) -> tuple[str, str]:
        """Where the store keeps what a trial's weights said about a part: its kind and key."""
        return opening(trial.weights_sha256, self.data, part)

    def _judged(self, outputs: Outputs) -> Outputs:
        return outputs.balanced() if self.balanced else outputs

    def machine_test_openings(self) -> int:
        """How often this machine has opened this test set, over all studies."""
        entries = (self.store.find("test_openings", key) for key in self.store.keys("test_openings"))
        return sum(entry is not None and entry.record["test_digest"] == self.data.test_digest for entry in entries)

    @property
    def _on_data(self) -> dict[str, Any]:
        return {"data": self.data.model_dump(mode="json")}

    def found_on_data(self, kind: str, key: str, job: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The record that a job, which looks at this data, stored under a key, or stores now."""
        return self._found_or_called(kind, key, job, {**arguments, **self._on_data})

    def _found_or_called(self, kind: str, key: str, job: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The record that a job stored under a key, or stores now."""
        entry = self.store.find(kind, key)
        if entry is not None:
            return entry.record
        return self.pool.call(job, {**arguments, "key": key, "home": str(self.home)})

    def _read(self, kind: str, key: str, name: str) -> Outputs:
        return Outputs.read(self.store.folder(kind, key) / name)


def _plain(policies: Sequence[Sequence[Part]]) -> list[list[dict[str, Any]]]:
    return [[part.model_dump(mode="json") for part in policy] for policy in policies]


def _revisions(job: str, parts: Sequence[Part]) -> dict[str, int]:
    return revisions_of(job, *(part.target.rpartition(".")[0] for part in parts))


def evidence_of(observations: list[Outputs], balanced: bool = False) -> Evidence:
    """Outputs of one recipe with several seeds, side by side; with `balanced` losses, errors count alike by class."""
    return Evidence(
        np.stack([seen.losses for seen in observations]).astype(np.float64),
        np.stack([seen.wrong for seen in observations]),
        observations[0].balancing if balanced else 1.0,
    )
