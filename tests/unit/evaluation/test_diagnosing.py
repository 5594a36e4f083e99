"""The worker's diagnosis of a trial, on a data set of a few images."""

import numpy as np
import pytest
import safetensors.torch
from random_networks import as_tensors, random_network, random_weights
from tiny_study import NUM_TRAIN, make_data, tiny_architecture

from modules.data.arrays import open_arrays
from modules.evaluation import diagnosing
from modules.evaluation.observing import observe
from modules.parts import build
from modules.records import Part
from modules.search.diagnosis import Diagnosis
from modules.store import Store

TRIAL, KEY = "a" * 32, "b" * 32


@pytest.fixture
def home(tmp_path):
    weights = as_tensors(random_weights(tiny_architecture()))
    Store(tmp_path / "store").put(
        "trials", TRIAL, {}, lambda folder: safetensors.torch.save_file(weights, folder / "weights.safetensors")
    )
    return tmp_path


ALL = Part(target="modules.selection.keep_all.KeepAll")
HALF = Part(target="modules.selection.random_fraction.RandomFraction", arguments={"fraction": 0.5})


@pytest.mark.parametrize("selection", [ALL, HALF])
def test_a_trial_is_diagnosed_and_kept(home, selection):
    data = make_data(home)
    result = diagnosing.diagnose(
        architecture=tiny_architecture().model_dump(mode="json"),
        selection=selection.model_dump(mode="json"),
        trial=TRIAL,
        data=data.model_dump(mode="json"),
        key=KEY,
        home=str(home),
        report=lambda progress: None,
    )
    assert Store(home / "store").find("diagnoses", KEY).record == result
    diagnosis = Diagnosis.model_validate(result)
    arrays = open_arrays(home, data)
    train = arrays.indices("train")
    trained_on = train[build(selection)(arrays.labels[train], arrays.identities[train])]
    for indices, loss, error in (
        (trained_on, diagnosis.train_loss, diagnosis.train_error),
        (arrays.indices("steer"), diagnosis.steer_loss, diagnosis.steer_error),
    ):
        network = random_network(tiny_architecture())
        seen = observe(network, arrays.images, arrays.labels, indices)
        assert (loss, error) == (pytest.approx(seen.loss, rel=1e-4), seen.error)
    assert [(layer.node, layer.output) for layer in diagnosis.layers] == [("conv1", "act1")]


@pytest.mark.parametrize(("count", "most"), [(NUM_TRAIN, 500), (2000, 500), (1999, 500), (501, 500), (7, 32)])
def test_the_images_come_from_all_of_the_sample(count, most):
    sample = np.arange(count)
    few = diagnosing._spread(sample, most)
    assert min(count, most) / 2 <= len(few) <= most
    assert few[0] == 0
    assert few[-1] >= count - count / len(few) - 1
