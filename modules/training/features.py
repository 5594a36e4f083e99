"""What frozen nodes make of the images, computed once and kept: a training then goes through the other nodes alone."""

import hashlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from modules.architecture.module import Network
from modules.augmentation.drawn import Transform
from modules.augmentation.policy import build_policy
from modules.data.arrays import Arrays
from modules.data.mapped import open_mapped
from modules.digests import digest_of
from modules.disk import new_array
from modules.evaluation.observing import as_batch, batches_of
from modules.parts import revisions_of
from modules.recipe import Recipe
from modules.records import DataRecord, Numerics
from modules.store import Store
from modules.training.copies import copy_draws, enlarged, places_of_copies
from modules.training.frozen import frozen_nodes
from modules.training.spec import feature_engine
from modules.workers.jobs import Report

REVISION = 2

_BATCH = 64
_MOST_BYTES = 4 * 2**30  # a larger table would take longer to read than its nodes to compute
_LISTS = ("KeepAll", "Kept")  # selections that are compared with each other: they share the table of all images


class Tail(nn.Module):
    """The nodes of a network behind a cut."""

    def __init__(self, network: Network, cut: str) -> None:
        super().__init__()
        self.network = network
        self.cut = cut

    def forward(self, features: Tensor) -> Tensor:
        """Logits of what the cut gives."""
        return self.network.after(self.cut, features)


def whole(network: nn.Module) -> Network:
    """The network that is trained, wholly or behind a cut."""
    network = network.network if isinstance(network, Tail) else network
    assert isinstance(network, Network)
    return network


def can_be_kept(recipe: Recipe) -> bool:
    """Whether the frozen nodes see each image always alike."""
    drawn_anew = bool(recipe.augmentation) and recipe.augmentation_copies is None
    seen_whole = recipe.mixing is not None or recipe.distillation is not None  # by what needs the images
    return recipe.frozen_until is not None and not seen_whole and not drawn_anew


def with_features(
    network: Network,
    recipe: Recipe,
    arrays: Arrays,
    selected: NDArray[np.int64],
    data: DataRecord,
    numerics: Numerics,
    store: Store,
    report: Report,
) -> tuple[Arrays, NDArray[np.int64], float] | None:
    """Arrays with features in place of images, where the selected ones are with their copies, seconds; None: too many.

    Features are there of training images, their copies and *steer*. They are found in the store, or computed; the
    seconds are those that computing them took, whenever that was.
    """
    assert recipe.frozen_until is not None
    copies = recipe.augmentation_copies or 0
    table = _Table(network, recipe, arrays, selected, copies)
    if 2 * math.prod(table.shape) > _MOST_BYTES:
        return None
    key = digest_of({**table.made_of(numerics), "data": data.digest})
    entry = store.find("features", key)
    if entry is None:
        about: dict[str, Any] = {"node": recipe.frozen_until, "copies": copies, "images": len(table.train)}

        def fill(folder: Path) -> None:
            began = time.monotonic()
            table.write(folder / "features.npy", numerics, report)
            about["seconds"] = time.monotonic() - began

        entry = store.put("features", key, about, fill)
    features, places = open_mapped(entry.file("features.npy")), places_of_copies(arrays, selected, copies)
    return enlarged(arrays, features, copies), places, entry.record["seconds"]


class _Table:
    """A row for each image of the arrays and each copy; those that no training reads stay empty."""

    def __init__(
        self, network: Network, recipe: Recipe, arrays: Arrays, selected: NDArray[np.int64], copies: int
    ) -> None:
        assert recipe.frozen_until is not None
        self.network, self.cut, self.recipe, self.arrays, self.copies = (
            network,
            recipe.frozen_until,
            recipe,
            arrays,
            copies,
        )
        every = arrays.indices("train")
        self.train = every if recipe.selection.name in _LISTS else np.unique(selected)
        rows = len(arrays.images) + copies * len(every)
        self.shape = (rows, *recipe.architecture.shapes()[self.cut])

    def made_of(self, numerics: Numerics) -> dict[str, Any]:
        """All that it depends on but the images."""
        recipe, frozen = self.recipe, sorted(self.network.frozen)
        weights = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            if name.partition(".")[0] in self.network.frozen:
                weights.update(name.encode() + tensor.contiguous().numpy().tobytes())
        nodes = [node.model_dump(mode="json") for node in recipe.architecture.nodes if node.name in frozen]
        policy = [part.model_dump(mode="json") for part in recipe.augmentation] if self.copies else []
        parts = [part.target.rpartition(".")[0] for part in recipe.augmentation]
        return {
            "nodes": nodes,
            "weights": weights.hexdigest(),
            "policy": policy,
            "mode": recipe.augmentation_mode if self.copies else "all",
            "copies": self.copies,
            "images": "all" if len(self.train) == len(self.arrays.indices("train")) else self.train.tolist(),
            "numerics": numerics.model_dump(mode="json"),
            "engine": feature_engine(numerics),
            "revisions": revisions_of("modules.training.features", "modules.training.frozen", *parts),
        }

    def write(self, path: Path, numerics: Numerics, report: Report) -> None:
        """Compute it; says how far it is."""
        table = new_array(path, self.shape, np.float16)
        policy = build_policy(self.recipe.augmentation, self.recipe.augmentation_mode)
        features_of = frozen_nodes(self.network, self.cut, numerics)
        whole = len(self.train) * (1 + self.copies) + len(self.arrays.indices("steer"))
        done = 0
        for rows, images in self._batches(policy):
            table[rows] = features_of(images)
            done += len(rows)
            report({"samples": done, "total_samples": whole, "doing": "features"})
        table.flush()

    def _batches(self, policy: Transform) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        """Rows and the images that belong there."""
        arrays, every = self.arrays, self.arrays.indices("train")
        for chosen in batches_of(np.concatenate([self.train, arrays.indices("steer")]), _BATCH):
            yield chosen, as_batch(arrays.images[chosen])
        for copy in range(self.copies):
            first = len(arrays.images) + copy * len(every)
            for chosen in batches_of(self.train, _BATCH):
                changed = policy(as_batch(arrays.images[chosen]), copy_draws(arrays, copy, chosen))
                yield first + np.searchsorted(every, chosen), changed
