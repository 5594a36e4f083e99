"""The worker's look at a trained network: how it fits, and what its layers do.

Not in `jobs`, whose revisions are in the key of every opened test set: a new measure must open none of them again.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modules.architecture.description import Architecture
from modules.data.arrays import open_arrays
from modules.evaluation.jobs import trained_network
from modules.evaluation.layers import fitting_images, measure_layers
from modules.evaluation.observing import as_batch, observe
from modules.randomness import words
from modules.records import DataRecord, Part
from modules.store import Store
from modules.workers.jobs import Report, job

REVISION = 1

_DIAGNOSED_IMAGES = 2000


@job
def diagnose(
    architecture: dict[str, Any],
    selection: dict[str, Any],
    trial: str,
    data: dict[str, Any],
    key: str,
    home: str,
    report: Report,
) -> dict[str, Any]:
    """Look at a trained network's fit and layers; stores and returns a Diagnosis as `diagnoses/<key>`.

    Training images are those of the selection: it has not seen the others.
    """
    record = DataRecord.model_validate(data)
    arrays, train = open_arrays(Path(home), record).under(Part.model_validate(selection))
    network = trained_network(Path(home), trial, Architecture.model_validate(architecture))
    sample = np.sort(train[np.argsort(words("diagnose", arrays.identities[train]))[:_DIAGNOSED_IMAGES]])
    seen = observe(network, arrays.images, arrays.labels, sample)
    steer = observe(network, arrays.images, arrays.labels, arrays.indices("steer"))
    few = _spread(sample, fitting_images(network.architecture))
    layers = measure_layers(network, as_batch(arrays.images[few]))
    result = {
        "train_loss": seen.loss,
        "steer_loss": steer.loss,
        "train_error": seen.error,
        "steer_error": steer.error,
        "layers": [layer.model_dump(mode="json") for layer in layers],
    }
    Store(Path(home) / "store").put("diagnoses", key, result)
    return result


def _spread(sample: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many, from the whole of a sample: images often lie class by class."""
    return sample[:: -(-len(sample) // most)]
