"""What is said of one image: a method that fails its checks says so, and shows nothing."""

import numpy as np
import safetensors.torch
from shortcut import ARCHITECTURE, SIDE, shortcut

from modules.explanation import jobs
from modules.explanation.attribution import Maps
from modules.explanation.checking import Answer
from modules.explanation.records import MethodFigures


def answer(name: str, maps: Maps | None, verdict: str) -> Answer:
    return Answer(maps, MethodFigures(name=name, shown=verdict == "passed", verdict=verdict))


def test_only_maps_that_passed_their_checks_are_shown(tmp_path, monkeypatch):
    found, maps = shortcut(), np.ones((1, SIDE, SIDE), dtype=np.float32)
    answers = {
        "good": answer("good", maps, "passed"),
        "bad": answer("bad", maps, "not shown: its maps are much the same with random weights"),
        "none": answer("none", None, "not shown: there are none"),
    }
    monkeypatch.setattr(jobs, "_answers", lambda *_arguments: answers)
    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(found.network.state_dict(), weights)
    said = jobs.explain_image(
        ARCHITECTURE.model_dump(mode="json"),
        str(weights),
        found.images[0].tolist(),
        (0.5,),
        ("lying", "standing"),
        {},
        report=lambda progress: None,
    )
    assert list(said["maps"]) == ["good"]
    assert [note.partition(":")[0] for note in said["notes"]] == ["good", "bad", "none"]
    assert next(iter(said["probabilities"])) == ("lying", "standing")[found.labels[0]]
