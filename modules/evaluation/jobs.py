"""What workers are asked to look at: a part of the data with a network's weights."""

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from modules.architecture.description import Architecture
from modules.architecture.module import Network, build_module
from modules.data.arrays import open_arrays
from modules.evaluation.observing import observe
from modules.records import DataRecord, Part, PartName
from modules.store import Store
from modules.workers.jobs import Report, job


def trained_network(home: Path, trial: str, architecture: Architecture) -> Network:
    """A network with the averaged weights of a finished trial."""
    network = build_module(architecture)
    path = Store(home / "store").folder("trials", trial) / "weights.safetensors"
    network.load_state_dict(safetensors.torch.load_file(path))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@job
def observe_part(
    architecture: dict[str, Any],
    trial: str,
    data: dict[str, Any],
    part: PartName,
    kind: str,
    key: str,
    home: str,
    report: Report,
) -> dict[str, Any]:
    """Observe the averaged weights of a trial on a part and store the outputs as `<kind>/<key>`."""
    record = DataRecord.model_validate(data)
    arrays = open_arrays(Path(home), record)
    network = trained_network(Path(home), trial, Architecture.model_validate(architecture))
    outputs = observe(network, arrays.images, arrays.labels, arrays.indices(part))
    result = {
        "trial": trial,
        "part": part,
        "data": record.digest,
        "test_digest": record.test_digest,
        "loss": outputs.loss,
        "error": outputs.error,
    }
    Store(Path(home) / "store").put(kind, key, result, lambda folder: outputs.write(folder / "outputs.safetensors"))
    return result


@job
def observe_left_out(
    architecture: dict[str, Any],
    trial: str,
    selection: dict[str, Any],
    trained_on: dict[str, Any],
    data: dict[str, Any],
    key: str,
    home: str,
    report: Report,
) -> dict[str, Any]:
    """Observe the averaged weights of a trial on the images of a selection that it was not trained on.

    They are asked about under the selection's labels; the outputs are stored as `observations/<key>`.
    """
    record = DataRecord.model_validate(data)
    arrays, selected = open_arrays(Path(home), record).under(Part.model_validate(selection))
    asked = np.setdiff1d(selected, arrays.selected(Part.model_validate(trained_on)))
    network = trained_network(Path(home), trial, Architecture.model_validate(architecture))
    outputs = observe(network, arrays.images, arrays.labels, asked)
    result = {"trial": trial, "data": record.digest, "loss": outputs.loss, "error": outputs.error}
    store = Store(Path(home) / "store")
    store.put("observations", key, result, lambda folder: outputs.write(folder / "outputs.safetensors"))
    return result
