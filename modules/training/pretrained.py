"""Networks that start from weights trained on other images, and what a head on their features comes to."""

import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modules.architecture.description import Architecture
from modules.architecture.module import build_module
from modules.data.arrays import open_arrays
from modules.data.parts import group_keys
from modules.digests import sha256_of_file
from modules.energy.meter import MeterChoice, metered
from modules.errors import TrainingError
from modules.evaluation.observing import as_batch
from modules.evaluation.outputs import Outputs
from modules.parts import build
from modules.pretrained.backbone import Backbone
from modules.pretrained.weights import fitting, read_tensors
from modules.randomness import uniform
from modules.recipe import Recipe
from modules.records import DataRecord, Numerics
from modules.selection.folds import filled_folds, folds_of
from modules.store import Store
from modules.training.features import with_features
from modules.training.softmax_regression import Head, fit_heads
from modules.training.spec import Start
from modules.training.states import State, read_state, section, write_state
from modules.workers.jobs import Report, job

REVISION = 2  # 2: learning curves by groups, classes weighed as the recipe says, the seconds that features took

_PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
_MOST_FITTED = 20_000  # images and copies that a head is fitted to: more hardly change a linear one
_SHARES = (0.125, 0.25, 0.5)  # of the images, of the learning curve
_DRAWS = 3


@job
def identify_weights(file: str, backbones: list[dict[str, Any]], report: Report) -> dict[str, Any]:
    """Which of the networks a file's tensors fit; ConfigError says which do not."""
    backbone, _ = fitting(Path(file), read_tensors(Path(file)), [Backbone.model_validate(one) for one in backbones])
    return {"backbone": backbone.name}


@job
def plant_weights(
    file: str, backbone: dict[str, Any], architecture: dict[str, Any], key: str, home: str, report: Report
) -> dict[str, Any]:
    """The state of a network with a file's weights and a last layer that says nothing yet: `pretrained/<key>`."""
    path = Path(file)
    _, tensors = fitting(path, read_tensors(path), [Backbone.model_validate(backbone)])
    described = Architecture.model_validate(architecture)
    for name, spec in described.tensors().items():
        tensors.setdefault(name, torch.zeros(spec.shape))
    return _put_start(Path(home), "pretrained", key, tensors, {"file": path.name, "sha256": sha256_of_file(path)})


@job
def fit_head(
    recipe: dict[str, Any],
    start: dict[str, Any],
    data: dict[str, Any],
    numerics: dict[str, Any],
    num_folds: int,
    seed: int,
    curve: bool,
    penalty: float | None,
    key: str,
    home: str,
    report: Report,
    meter: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Fit the last layer to the features before it, which are computed once: `heads/<key>`.

    With folds, each training image is asked about by a head that was not fitted to it or its near-duplicates; without,
    *steer* is asked about. What was said decides on the penalty, unless one is given, and is kept as
    `outputs.safetensors`; the head itself, fitted to all images, in the state that a training can start from.
    """
    parsed = Recipe.model_validate(recipe)
    with metered(MeterChoice.model_validate(meter or {})) as counting:
        bench = _Bench(parsed, Start.model_validate(start), data, Numerics.model_validate(numerics), Path(home), report)
        computed = time.monotonic()
        penalties = _PENALTIES[: _PENALTIES.index(penalty) + 1] if penalty is not None else _PENALTIES
        said, fitted_to = bench.by_folds(num_folds, seed, penalties) if num_folds else bench.on_steer(penalties)
        best = len(penalties) - 1 if penalty is not None else int(np.argmin([seen.losses.mean() for seen in said]))
        head = bench.fit(bench.all, penalties[: best + 1])[-1]
        steer = bench.ask(head, bench.steer)
        points = [list(point) for point in bench.learning_curve(penalties[: best + 1], seed)] if curve else []
        record = {
            "penalty": penalties[best],
            "loss": said[best].loss,
            "error": said[best].error,
            "asked": len(said[best].labels),
            "steer_error": steer.error,
            "images": len(bench.all),
            "fitted_to": fitted_to,
            "features": int(bench.arrays.images.shape[1]),
            "feature_seconds": bench.feature_seconds,
            "head_seconds": time.monotonic() - computed,
            "energy_wh": None if counting is None else counting.read().wh,
            "curve": points,
        }
    tensors = {**section(bench.state, "ema"), **bench.tensors_of(head)}
    return _put_start(Path(home), "heads", key, tensors, record, said[best])


class _Point(NamedTuple):
    """Of a learning curve: how many images a head was fitted to, and its error on those it was not."""

    images: int
    error: float
    asked: int


class _Bench:
    """Features of the images and what can be fitted to them."""

    def __init__(
        self, recipe: Recipe, start: Start, data: dict[str, Any], numerics: Numerics, home: Path, report: Report
    ) -> None:
        record, store = DataRecord.model_validate(data), Store(home / "store")
        self.report = report
        self.arrays, selected = open_arrays(home, record).under(recipe.selection)
        self.images = self.arrays.images
        self.state: State = read_state(store.folder(start.kind, start.key) / "state.safetensors")
        self.network = build_module(recipe.architecture)
        self.network.load_state_dict(section(self.state, "ema"))
        self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        assert recipe.frozen_until is not None
        self.network.freeze(recipe.frozen_until)
        self.all = selected
        self.copies = recipe.augmentation_copies or 0
        originals = self.arrays
        seen = with_features(self.network, recipe, originals, selected, record, numerics, store, report)
        if seen is None:
            raise TrainingError(
                f"the features of {len(selected):,} images are too many to keep; allowed are fewer images, as with "
                "selection=random, or pretrained=none"
            )
        self.arrays, places, self.feature_seconds = seen
        self._places = dict(zip(selected.tolist(), places.reshape(1 + self.copies, -1).T, strict=True))
        self.steer = originals.indices("steer")
        self.num_classes = recipe.architecture.num_classes
        self.balance = build(recipe.balance) if recipe.balance else None
        self.last = recipe.architecture.nodes[-1].name

    @cached_property
    def groups(self) -> NDArray[np.uint64]:
        """Of all images: near-duplicates share one."""
        return group_keys(self.images[self.all])

    def by_folds(self, number: int, seed: int, penalties: tuple[float, ...]) -> tuple[list[Outputs], int]:
        """What heads, one a penalty, say of each fold when they were not fitted to it; to how many images they were."""
        folds = folds_of(self.groups, number, seed)
        filled = filled_folds(folds)
        said = []
        for done, fold in enumerate(filled, start=1):
            asked = self.all[folds == fold]
            said.append([self.ask(head, asked) for head in self.fit(self.all[folds != fold], penalties)])
            self.report({"samples": done, "total_samples": len(filled), "doing": "folds"})
        fitted_to = round(len(self.all) * (1 - 1 / len(filled)))
        return [Outputs.joined(of_penalty) for of_penalty in zip(*said, strict=True)], fitted_to

    def on_steer(self, penalties: tuple[float, ...]) -> tuple[list[Outputs], int]:
        """What heads, one a penalty, say of *steer*; to how many images they were fitted."""
        return [self.ask(head, self.steer) for head in self.fit(self.all, penalties)], len(self.all)

    def fit(self, indices: NDArray[np.int64], penalties: tuple[float, ...]) -> list[Head]:
        """Heads fitted to images with their copies."""
        rows = np.concatenate([self._places[index] for index in indices.tolist()])[:: self._thinning(len(indices))]
        features, labels = self._features(rows), self.arrays.labels[rows]
        return fit_heads(features, torch.from_numpy(labels), self.num_classes, penalties, self._class_weights(labels))

    def _class_weights(self, labels: NDArray[np.int64]) -> Tensor | None:
        """What an image of each class counts: by its weight, and by how often it would come."""
        if self.balance is None:
            return None
        counts = np.bincount(labels, minlength=self.num_classes)
        return torch.from_numpy(self.balance.weights(counts) * self.balance.repeats(counts)).float()

    def _thinning(self, images: int) -> int:
        return -(-images * (1 + self.copies) // _MOST_FITTED)

    def ask(self, head: Head, indices: NDArray[np.int64]) -> Outputs:
        """What a head says of images as they are."""
        labels = torch.from_numpy(self.arrays.labels[indices])
        logits = head.logits(self._features(indices))
        losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        return Outputs(losses.numpy(), logits.softmax(1).numpy(), labels.numpy())

    def _features(self, rows: NDArray[np.int64]) -> Tensor:
        return as_batch(self.arrays.images[rows])

    def learning_curve(self, penalties: tuple[float, ...], seed: int) -> Iterator[_Point]:
        """Errors of heads that were fitted to parts of the images, of each class alike, on all others.

        Near-duplicates are drawn together, and those of images that a head was fitted to it is not asked about.
        """
        labels = self.arrays.labels[self.all]
        for share in _SHARES:
            for draw in range(_DRAWS):
                luck = uniform("learning curve", seed, draw, self.groups)
                ranks = _ranks_within(labels, luck)
                counts = np.bincount(labels, minlength=self.num_classes)
                chosen = ranks < np.maximum(1, np.round(share * counts))[labels]
                if chosen.all() or counts.min() == 0:
                    continue
                head = self.fit(self.all[chosen], penalties)[-1]
                unlike = ~np.isin(self.groups, self.groups[chosen])
                asked = np.concatenate([self.all[unlike], self.steer])
                yield _Point(int(chosen.sum()), self.ask(head, asked).error, len(asked))

    def tensors_of(self, head: Head) -> State:
        """The head as the last layer's."""
        return {f"{self.last}.weight": head.weight.contiguous(), f"{self.last}.bias": head.bias.contiguous()}


def _ranks_within(labels: NDArray[np.int64], luck: NDArray[np.float64]) -> NDArray[np.int64]:
    """The place of each image among those of its class, by luck."""
    ranks = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        ranks[of_class[np.argsort(luck[of_class], kind="stable")]] = np.arange(len(of_class))
    return ranks


def _put_start(
    home: Path, kind: str, key: str, tensors: State, record: dict[str, Any], outputs: Outputs | None = None
) -> dict[str, Any]:
    """Store a state that trainings can start from; returns its record with the state's digest."""

    def fill(folder: Path) -> None:
        # each tensor twice: the file format shares no memory between names
        state = {f"{part}.{name}": tensor.clone() for part in ("model", "ema") for name, tensor in tensors.items()}
        write_state(folder / "state.safetensors", state)
        record["state_sha256"] = sha256_of_file(folder / "state.safetensors")
        if outputs is not None:
            outputs.write(folder / "outputs.safetensors")

    Store(home / "store").put(kind, key, record, fill)
    return record
