"""What workers are asked to look at: a part of the data with a network's weights, or what its layers do."""

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from modules.architecture.description import Architecture
from modules.architecture.module import Network, build_module
from modules.data.arrays import open_arrays
from modules.evaluation.observing import as_batch, observe
from modules.randomness import words
from modules.records import DataRecord, PartName
from modules.store import Store
from modules.workers.jobs import Report, job

_DIAGNOSED_IMAGES = 2000
_SILENT = 0.02  # a channel that varies less than this part of its layer's mean deviation says next to nothing


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
def diagnose(
    architecture: dict[str, Any], trial: str, data: dict[str, Any], key: str, home: str, report: Report
) -> dict[str, Any]:
    """Look at a trained network's fit and layers; stores and returns a Diagnosis as `diagnoses/<key>`."""
    record = DataRecord.model_validate(data)
    arrays = open_arrays(Path(home), record)
    network = trained_network(Path(home), trial, Architecture.model_validate(architecture))
    train = arrays.indices("train")
    sample = np.sort(train[np.argsort(words("diagnose", arrays.identities[train]))[:_DIAGNOSED_IMAGES]])
    seen = observe(network, arrays.images, arrays.labels, sample)
    steer = observe(network, arrays.images, arrays.labels, arrays.indices("steer"))
    result = {
        "train_loss": seen.loss,
        "steer_loss": steer.loss,
        "train_error": seen.error,
        "steer_error": steer.error,
        "silent_channels": silent_channels(network, as_batch(arrays.images[sample[:500]])),
    }
    Store(Path(home) / "store").put("diagnoses", key, result)
    return result


def silent_channels(network: Network, images: Tensor) -> dict[str, float]:
    """The fraction of channels of each activation that hardly vary over the images, by the activation's name."""
    activations = [node.name for node in network.architecture.nodes if node.op == "activation"]
    network.eval()
    with torch.inference_mode():
        outputs = network.outputs(images)
    fractions = {}
    for name in activations:
        deviations = outputs[name].transpose(0, 1).flatten(1).std(dim=1)
        fractions[name] = float((deviations <= _SILENT * deviations.mean()).float().mean())
    return fractions
