"""The start of a child: an edit applied to a trained parent in a worker, certified, and put into the store."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modules.data.arrays import open_arrays
from modules.digests import sha256_of_file
from modules.edits.editing import apply_edit
from modules.errors import CertificateError
from modules.evaluation.observing import as_batch
from modules.randomness import words
from modules.recipe import Recipe
from modules.records import DataRecord, Part
from modules.store import Store
from modules.training.states import read_state, write_state
from modules.workers.jobs import Report, job

REVISION = 1

_CERTIFIED_IMAGES = 256


@job
def inherit(
    edit: dict[str, Any],
    recipe: dict[str, Any],
    trial: str,
    seed: int,
    data: dict[str, Any],
    key: str,
    home: str,
    report: Report,
) -> dict[str, Any]:
    """Apply an edit to a trial's state; stores `edits/<key>` and returns its record.

    The record holds `refused`, the reason, for an edit that does not fit or whose certificate does not hold.
    """
    store = Store(Path(home) / "store")
    state = read_state(store.folder("trials", trial) / "state.safetensors")
    images, labels = certified_images(Path(home), DataRecord.model_validate(data))
    try:
        edited = apply_edit(Part.model_validate(edit), Recipe.model_validate(recipe), state, seed, images, labels)
    except (ValueError, CertificateError) as error:  # other broken promises are faults that nothing should go on with
        return dict(store.put("edits", key, {"refused": str(error)}).record)
    record: dict[str, Any] = {
        "recipe": edited.recipe.model_dump(mode="json"),
        "certificate": edited.certificate.model_dump(mode="json"),
        "description": edited.description,
    }
    progress = {name: tensor for name, tensor in state.items() if name.startswith("progress.")}
    changes = [change.model_dump(mode="json") for change in edited.changes]

    def fill(folder: Path) -> None:
        (folder / "changes.json").write_text(json.dumps(changes))
        write_state(folder / "state.safetensors", {**edited.state, **progress})
        record["state_sha256"] = sha256_of_file(folder / "state.safetensors")

    store.put("edits", key, record, fill)
    return record


def certified_images(home: Path, data: DataRecord) -> tuple[Tensor, Tensor]:
    """The training images on which edits are measured, with labels: the same few for every edit of a data set."""
    arrays = open_arrays(home, data)
    train = arrays.indices("train")
    chosen = np.sort(train[np.argsort(words("certify", arrays.identities[train]))[:_CERTIFIED_IMAGES]])
    return as_batch(arrays.images[chosen]), torch.from_numpy(arrays.labels[chosen])
