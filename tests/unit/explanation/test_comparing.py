"""A network that goes by the mark against one that has learnt nothing, and against itself."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
from shortcut import ARCHITECTURE, SIDE, marked_images, shortcut

from modules.config import resolve
from modules.explanation.comparing import Comparison, compare_models
from modules.explanation.sanity import randomised
from modules.randomness import words
from modules.records import DataRecord

METHODS = {name: part.model_dump(mode="json") for name, part in resolve([]).explanation.methods}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("comparing")
    (home / "data").mkdir()
    images, labels = marked_images(50, seed=9)
    arrays = {
        "images": images,
        "labels": np.full_like(labels, 99),  # nobody looks at them
        "parts": np.full(50, 3, dtype=np.uint8),
        "identities": words("comparing", np.arange(50, dtype=np.uint64)),
    }
    for name, array in arrays.items():
        np.save(home / "data" / f"{name}.npy", array)
    networks = {"trained": shortcut().network, "random": randomised(ARCHITECTURE, 3)}
    for name, network in networks.items():
        safetensors.torch.save_file(network.state_dict(), home / f"{name}.safetensors")
    return home


def compared(home: Path, live: str) -> Comparison:
    sizes = {"train": 0, "steer": 0, "confirm": 0, "test": 50}
    data = DataRecord(
        name="marked",
        digest="d",
        test_digest="t",
        folder="data",
        classes=("lying", "standing"),
        image_shape=(1, SIDE, SIDE),
        num_images=sizes,
        num_groups=sizes,
        mean=(0.5,),
        std=(0.2,),
    )
    models = {
        role: {"architecture": ARCHITECTURE.model_dump(mode="json"), "weights": str(home / f"{name}.safetensors")}
        for role, name in (("challenger", "trained"), ("live", live))
    }
    record = compare_models(
        **models,
        methods=METHODS,
        data=data.model_dump(mode="json"),
        key=f"key-{live}",
        home=str(home),
        report=lambda progress: None,
    )
    return Comparison.model_validate(record)


def test_a_model_looks_where_it_looks(home: Path) -> None:
    comparison = compared(home, "trained")
    assert comparison.agreement == 1.0
    assert comparison.images == 40
    assert set(comparison.distances) == set(METHODS)
    assert comparison.distances == pytest.approx(dict.fromkeys(METHODS, 0.0), abs=1e-5)


def test_one_that_has_learnt_nothing_looks_elsewhere(home: Path) -> None:
    comparison = compared(home, "random")
    assert comparison.agreement < 0.9
    assert min(comparison.distances.values()) > 0.4
    distances = [each.distance for each in comparison.elsewhere]
    assert distances == sorted(distances, reverse=True)
    assert len(distances) == 6
    assert comparison.elsewhere[0].challenger_map != comparison.elsewhere[0].live_map
